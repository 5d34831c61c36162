import { join } from 'node:path'

import test, { type ExecutionContext } from 'ava'
import {
  LockError,
  openRoot,
  tryLock,
  tryRLock,
  withLock,
  type LockOptions,
  type Root,
  type UnlockFunc
} from 'rootlock'

import { child } from '../helpers/child.mjs'
import { inTime } from '../helpers/eventually.mjs'
import { kernelLocks } from '../helpers/kernel-locks.mjs'
import { hold } from '../helpers/locks.mjs'
import { linux, needing } from '../helpers/needing.mjs'
import { openFiles } from '../helpers/open-files.mjs'
import { temporaryRoot } from '../helpers/temporary-root.mjs'

const ROUNDS = 300

/** Whatever the outcome, the lock is free afterwards. */
async function settleAndTake(t: ExecutionContext, root: string, lock: Promise<UnlockFunc>) {
  const granted = await inTime('it settles', lock).then(
    async (unlock) => {
      await unlock()
      return true
    },
    (error: unknown) => {
      t.true(error instanceof LockError)
      return false
    }
  )
  // `wait: false` alone is not enough: nothing of the lock may be left, not even for a moment.
  await (
    await tryLock(root, { wait: false })
  )()
  return granted
}

for (const take of [tryLock, tryRLock]) {
  test(`an abort that meets a grant never leaves a lock behind: ${take.name}`, async (t) => {
    const root = await temporaryRoot(t)
    const seen = { granted: 0, aborted: 0 }
    for (let round = 0; round < ROUNDS; round++) {
      const unlock = await tryLock(root)
      const controller = new AbortController()
      const lock = take(root, { signal: controller.signal })
      lock.catch(() => {})
      const released = unlock()
      // From the same turn to some after it.
      for (let turn = 0; turn < round % 10; turn++) await new Promise(setImmediate)
      controller.abort()
      await released
      seen[(await settleAndTake(t, root, lock)) ? 'granted' : 'aborted']++
    }
    t.log(seen)
    // An abort in the turn of the call never leaves the lock granted; a later one may.
    t.true(seen.aborted >= ROUNDS / 10 && seen.granted > 0)
  })
}

/** Every way to acquire a lock; `fn` of `withLock` must not run. */
const ways: [
  name: string,
  ask: (t: ExecutionContext, root: string | Root, options: LockOptions) => Promise<unknown>
][] = [
  ['tryLock', (_, root, options) => tryLock(root, options)],
  ['tryRLock', (_, root, options) => tryRLock(root, options)],
  ['withLock', (t, root, options) => withLock(root, () => t.fail(), options)],
  [
    'withLock, shared',
    (t, root, options) => withLock(root, () => t.fail(), { ...options, shared: true })
  ]
]

for (const [name, ask] of ways) {
  test(`an abort in the turn of the call always rejects: ${name}`, async (t) => {
    const path = await temporaryRoot(t)
    const open = await openRoot(path)
    t.teardown(() => open.close())
    const expected = { instanceOf: LockError, code: 'ERR_LOCK_UNSUCCESSFUL' }
    // The first call of a process, through a thread; then at once; then by an open root.
    for (const [index, root] of [path, path, path, open, open].entries()) {
      for (const wait of [true, false]) {
        const controller = new AbortController()
        const asked = ask(t, root, { signal: controller.signal, wait })
        controller.abort(index)
        const error = await t.throwsAsync<LockError>(inTime('it settles', asked), expected)
        t.is(error.cause as unknown, index)
        t.is(error.reason, 'aborted')
        // The lock was given back before the promise rejected.
        await (
          await tryLock(root, { wait: false })
        )()
      }
    }
  })

  test(`an abort in the turn of the call rejects even if the lock is handed on in that turn: ${name}`, async (t) => {
    const root = await temporaryRoot(t)
    const unlock = await tryLock(root)
    const controller = new AbortController()
    const asked = ask(t, root, { signal: controller.signal })
    const released = unlock()
    controller.abort()
    await t.throwsAsync(inTime('it settles', asked), { instanceOf: LockError })
    await released
    await (
      await tryLock(root, { wait: false })
    )()
  })
}

test('fn of withLock does not run when the signal aborts between the grant and it', async (t) => {
  const root = await temporaryRoot(t)
  await (
    await tryLock(root)
  )()
  let ran = 0
  for (let ticks = 0; ticks < 12; ticks++) {
    const controller = new AbortController()
    const { signal } = controller
    const work = withLock(root, () => void (ran += Number(signal.aborted)), { signal })
    work.catch(() => {})
    for (let tick = 0; tick < ticks; tick++) await undefined
    controller.abort()
    await inTime('it settles', work).catch((error: LockError) => t.is(error.reason, 'aborted'))
  }
  t.is(ran, 0)
})

test('an abort that meets a grant from another process never leaves a lock behind', async (t) => {
  const root = await temporaryRoot(t)
  const holder = child(t, 'holder', { root })
  const seen = { granted: 0, aborted: 0 }
  for (let round = 0; round < ROUNDS; round++) {
    await holder.says('held')
    const controller = new AbortController()
    const lock = tryLock(root, { signal: controller.signal })
    lock.catch(() => {})
    holder.tell('unlock')
    if (round % 3 === 0) await holder.says('unlocked')
    for (let turn = 0; turn < round % 7; turn++) await new Promise(setImmediate)
    controller.abort()
    if (round % 3 !== 0) await holder.says('unlocked')
    seen[(await settleAndTake(t, root, lock)) ? 'granted' : 'aborted']++
    holder.tell('lock')
  }
  t.log(seen)
  t.true(seen.aborted > 0 && seen.granted > 0)
})

needing(test, linux)('nothing of an aborted waiter is left in the kernel', async (t) => {
  const root = await temporaryRoot(t)
  const holder = child(t, 'holder', { root })
  await holder.says('held')
  for (let round = 0; round < 100; round++) {
    const controller = new AbortController()
    const lock = tryLock(root, { signal: controller.signal })
    lock.catch(() => {})
    for (let turn = 0; turn < round % 20; turn++) await new Promise(setImmediate)
    controller.abort()
    await t.throwsAsync(inTime('the wait ends', lock))
    // Right after the rejection, without a pause.
    const [left, files] = [kernelLocks(root), openFiles()]
    t.deepEqual(left, [{ waits: false, mode: 'WRITE', pid: holder.pid }])
    const open = files.some(([, path]) => path === join(root, '.lock'))
    t.false(open, 'the lock file is closed')
  }
})

needing(test, linux)('the last of many aborted waiters leaves nothing in the kernel', async (t) => {
  const root = await temporaryRoot(t)
  await hold(t, root, {}, tryRLock)
  const mine = kernelLocks(root)
  for (let round = 0; round < 50; round++) {
    const controllers = Array.from({ length: 3 }, () => new AbortController())
    const locks = controllers.map(({ signal }) => tryLock(root, { signal }))
    await new Promise(setImmediate)
    for (const [index, controller] of controllers.entries()) {
      controller.abort()
      await t.throwsAsync(inTime('the wait ends', locks[index]!))
    }
    t.deepEqual(kernelLocks(root), mine)
  }
})
