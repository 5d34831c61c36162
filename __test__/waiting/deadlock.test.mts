import { symlink } from 'node:fs/promises'
import { join } from 'node:path'

import test, { type ExecutionContext } from 'ava'
import {
  openRoot,
  tryLock,
  tryRLock,
  withLock,
  type LockError,
  type Root,
  type UnlockFunc
} from 'rootlock'

import { inTime } from '../helpers/eventually.mjs'
import { needing, notWine, unix } from '../helpers/needing.mjs'
import { temporaryRoot } from '../helpers/temporary-root.mjs'

type Place = string | URL | Root

/** A promise, and what resolves it. */
function pending() {
  let resolve!: () => void
  const promise = new Promise<void>((settle) => (resolve = settle))
  return { promise, resolve }
}

/** A request for a lock inside itself rejects at once, with the reason. */
async function deadlocks(t: ExecutionContext, asked: Promise<unknown>): Promise<void> {
  const error = await t.throwsAsync<LockError>(inTime('it settles', asked), {
    code: 'ERR_LOCK_UNSUCCESSFUL',
    message: /^store is locked by the withLock around this call/
  })
  t.is(error.reason, 'deadlock')
}

for (const [what, outer, inner] of [
  ['a writer in a writer', false, false],
  ['a writer in a reader', true, false],
  ['a reader in a writer', false, true]
] as const) {
  test(`${what} of the same lock rejects at once`, async (t) => {
    const root = await temporaryRoot(t)
    const open = await openRoot(root)
    t.teardown(() => open.close())
    for (const [around, within] of [
      [root, root],
      [root, open],
      [open, root],
      [open, open]
    ] as [Place, Place][]) {
      await withLock(
        around,
        async () => {
          await deadlocks(
            t,
            withLock(within, () => t.fail(), { shared: inner })
          )
          await deadlocks(t, (inner ? tryRLock : tryLock)(within))
          // Deeper, and through timers.
          await new Promise((resolve) => setTimeout(resolve, 1))
          await withLock(within, () => deadlocks(t, (inner ? tryRLock : tryLock)(around)), {
            fileName: 'another',
            shared: inner
          })
        },
        { shared: outer }
      )
    }
    t.is(await withLock(root, () => 'free'), 'free')
  })
}

test('a nested request with wait: false fails because the lock is held', async (t) => {
  const root = await temporaryRoot(t)
  await withLock(root, async () => {
    const error = await t.throwsAsync<LockError>(tryLock(root, { wait: false }))
    t.is(error.reason, 'held')
  })
})

test('a reader in a reader, and other locks, are granted', async (t) => {
  const [root, other] = [await temporaryRoot(t), await temporaryRoot(t)]
  const shared = { shared: true }
  const inner = () => withLock(other, () => withLock(root, () => 'both', { fileName: 'another' }))
  t.is(await withLock(root, () => withLock(root, inner, shared), shared), 'both')
})

needing(test, unix)('a lock is known by another path to it', async (t) => {
  const root = await temporaryRoot(t)
  const link = join(await temporaryRoot(t), 'link')
  await symlink(root, link)
  // Makes it known that the path leads to a local file system.
  await withLock(link, () => {})
  await withLock(root, () => deadlocks(t, tryLock(link)))
})

test('a call that outlives the withLock around it waits like any other', async (t) => {
  const root = await temporaryRoot(t)
  let later: Promise<string> | undefined
  const ended = pending()
  await withLock(root, () => {
    later = ended.promise.then(() => withLock(root, () => 'granted'))
  })
  const unlock = await tryLock(root)
  ended.resolve()
  await new Promise(setImmediate)
  await unlock()
  t.is(await inTime('it is granted', later!), 'granted')
})

test('a request beside a withLock waits', async (t) => {
  const root = await temporaryRoot(t)
  const go = pending()
  const first = withLock(root, () => go.promise)
  const second = withLock(root, () => 'second')
  await new Promise(setImmediate)
  go.resolve()
  await first
  t.is(await inTime('it is granted', second), 'second')
})

/** Wine makes no links to directories. */
needing(test, notWine)(
  'the same lock by a path that was not resolved before rejects as well',
  async (t) => {
    const root = await temporaryRoot(t)
    for (let round = 0; round < 20; round++) {
      const link = join(root, `link-${round}`)
      // On Windows a link to a directory is of another kind.
      await symlink(root, link, 'junction')
      await withLock(root, () => deadlocks(t, tryLock(link)))
    }
  }
)

test('a reader in a reader rejects if a writer is queued between them, and only then', async (t) => {
  const root = await temporaryRoot(t)
  let writer: Promise<UnlockFunc> | undefined
  await withLock(
    root,
    async () => {
      await withLock(root, () => {}, { shared: true })
      const { promise, resolve } = pending()
      // Not inside the reader's withLock.
      outside = () => {
        writer = tryLock(root, { onWait: resolve })
      }
      await inTime('the writer waits', promise)
      await deadlocks(
        t,
        withLock(root, () => t.fail(), { shared: true })
      )
    },
    { shared: true }
  )
  await (
    await inTime('the writer has it', writer!)
  )()
})

/** Called by a timer outside the context of any request. */
let outside: () => void = () => {}
const timer = setInterval(() => {
  const now = outside
  outside = () => {}
  now()
}, 5)
timer.unref()
