import test from 'ava'
import {
  openRootSync,
  tryLock,
  tryLockSync,
  tryRLock,
  tryRLockSync,
  type LockError
} from 'rootlock'

import { child } from '../helpers/child.mjs'
import { inTime } from '../helpers/eventually.mjs'
import { waiter } from '../helpers/locks.mjs'
import { linux, needing } from '../helpers/needing.mjs'
import { temporaryRoot } from '../helpers/temporary-root.mjs'

const takes = {
  tryLock,
  tryRLock,
  tryLockSync: async (root: string) => tryLockSync(root),
  tryRLockSync: async (root: string) => tryRLockSync(root)
}

for (const [name, take] of Object.entries(takes)) {
  test(`unlock.sync has released the lock when it returns: ${name}`, async (t) => {
    const root = await temporaryRoot(t)
    const unlock = await take(root)
    t.is(unlock.sync(), undefined)
    tryLockSync(root).sync()
    t.false(unlock.signal.aborted)
  })

  test(`only the first unlock of either kind releases: ${name}`, async (t) => {
    const root = await temporaryRoot(t)
    for (const first of [0, 1, 2, 3]) {
      const unlock = await take(root)
      const ways = [
        () => unlock(),
        () => unlock.sync(),
        () => unlock[Symbol.dispose](),
        () => unlock[Symbol.asyncDispose]()
      ]
      await ways[first]!()
      const next = tryLockSync(root)
      for (const way of ways) await way()
      t.is(unlock(), unlock())
      t.throws(() => tryLockSync(root), { code: 'ERR_LOCK_UNSUCCESSFUL' })
      next.sync()
    }
  })
}

test('using releases the lock at the end of its block, also when that throws', async (t) => {
  const root = await temporaryRoot(t)
  const work = () => {
    using lock = tryLockSync(root)
    t.true(lock.token > 0)
    t.throws(() => tryLockSync(root))
    throw new Error('in the middle')
  }
  t.throws(work, { message: 'in the middle' })
  {
    await using lock = tryRLockSync(root)
    t.true(lock.token > 0)
  }
  {
    using lock = await tryLock(root)
    t.true(lock.token > 0)
  }
  tryLockSync(root).sync()
})

test('using closes a root after its locks', async (t) => {
  const path = await temporaryRoot(t)
  let root
  {
    using opened = openRootSync(path)
    using lock = tryLockSync(opened)
    t.false(lock.signal.aborted)
    root = opened
  }
  const closed = root
  t.throws(() => tryLockSync(closed), { code: 'ERR_ROOT_CLOSED' })
  tryLockSync(path).sync()
})

test('unlock.sync hands the lock on to who waits in this thread', async (t) => {
  const root = await temporaryRoot(t)
  const unlock = tryLockSync(root)
  const { lock } = waiter(t, root)
  unlock.sync()
  t.throws(() => tryLockSync(root))
  const next = await inTime('it is granted', lock)
  t.true(next.token > unlock.token)
})

needing(test, linux)('an unlock.sync that the system refuses throws, each time', async (t) => {
  const root = await temporaryRoot(t)
  const vandal = child(t, 'vandal', { root, sync: true })
  for (const again of ['failed', 'failed', 'failed']) {
    const error = await vandal.says(again)
    t.is(error.code, 'ERR_UNLOCK_UNSUCCESSFUL' satisfies LockError['code'])
    t.like(error.cause, { code: 'EBADF' })
  }
  tryLockSync(root).sync()
})
