import test from 'ava'
import { openRoot, tryLock, tryRLock } from 'rootlock'

import { inTime } from '../helpers/eventually.mjs'
import { waiter } from '../helpers/locks.mjs'
import { mustBlock } from '../helpers/must-block.mjs'
import { temporaryRoot } from '../helpers/temporary-root.mjs'

for (const take of [tryLock, tryRLock]) {
  test(`await using releases the lock at the end of its block: ${take.name}`, async (t) => {
    const root = await temporaryRoot(t)
    let blocked
    {
      await using lock = await take(root)
      t.true(lock.token > 0)
      blocked = waiter(t, root).lock
      await mustBlock(blocked)
    }
    await inTime('the lock is free', blocked)
  })
}

test('await using releases the lock when its block throws', async (t) => {
  const root = await temporaryRoot(t)
  const work = async () => {
    await using lock = await tryLock(root)
    t.false(lock.signal.aborted)
    throw new Error('in the middle')
  }
  await t.throwsAsync(work(), { message: 'in the middle' })
  await (
    await tryLock(root, { wait: false })
  )()
})

test('await using accepts a lock that was unlocked already', async (t) => {
  const root = await temporaryRoot(t)
  {
    await using unlock = await tryLock(root)
    await unlock()
  }
  await (
    await tryLock(root, { wait: false })
  )()
  t.pass()
})

test('await using closes a root after its locks', async (t) => {
  const path = await temporaryRoot(t)
  let root
  {
    await using opened = await openRoot(path)
    await using lock = await tryLock(opened)
    t.false(lock.signal.aborted)
    root = opened
  }
  await t.throwsAsync(tryLock(root), { code: 'ERR_ROOT_CLOSED' })
  await (
    await tryLock(path, { wait: false })
  )()
})
