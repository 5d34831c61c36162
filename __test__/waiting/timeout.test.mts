import test from 'ava'
import { inspect, tryLock, tryRLock, withLock, type LockError } from 'rootlock'

import { child } from '../helpers/child.mjs'
import { inTime } from '../helpers/eventually.mjs'
import { kernelLocks } from '../helpers/kernel-locks.mjs'
import { hold, waiter } from '../helpers/locks.mjs'
import { linux, needing } from '../helpers/needing.mjs'
import { temporaryRoot } from '../helpers/temporary-root.mjs'

const expected = { code: 'ERR_LOCK_UNSUCCESSFUL', message: /^store is locked by pid/ }

for (const take of [tryLock, tryRLock]) {
  test(`a wait that takes too long rejects as one attempt does: ${take.name}`, async (t) => {
    const root = await temporaryRoot(t)
    const unlock = await hold(t, root)
    for (const timeoutMs of [0, 0.1, 1, 30]) {
      const error = await t.throwsAsync<LockError>(
        inTime('it rejects', take(root, { timeoutMs })),
        expected
      )
      t.is(error.reason, 'held')
      t.is(error.holder!.pid, process.pid)
      t.false('cause' in error)
    }
    await unlock()
    t.is((await inspect(root)).state, 'free')
  })
}

test('a limit that has not passed ends nothing', async (t) => {
  const root = await temporaryRoot(t)
  const unlock = await hold(t, root)
  const waits = [Infinity, Number.MAX_SAFE_INTEGER, 3_600_000].map(
    (timeoutMs) => waiter(t, root, { timeoutMs }).lock
  )
  await unlock()
  for (const lock of waits) await (await inTime('it is granted', lock))()
  await (
    await tryLock(root, { timeoutMs: 0 })
  )()
  t.pass()
})

test('a free lock is granted, however short the limit', async (t) => {
  for (let round = 0; round < 20; round++) {
    // Of another directory each time: opening it is part of the attempt.
    const root = await temporaryRoot(t)
    await (
      await tryLock(root, { timeoutMs: 0.001 })
    )()
  }
  t.pass()
})

test('withLock has a limit for its wait, not for its work', async (t) => {
  const root = await temporaryRoot(t)
  await withLock(root, () => new Promise((resolve) => setTimeout(resolve, 60)), { timeoutMs: 20 })
  const unlock = await hold(t, root)
  await t.throwsAsync(
    withLock(root, () => t.fail(), { timeoutMs: 20 }),
    expected
  )
  await unlock()
})

test('an abort before the limit is an abort, with who holds the lock', async (t) => {
  const root = await temporaryRoot(t)
  await hold(t, root)
  const signal = AbortSignal.timeout(20)
  const error = await t.throwsAsync<LockError>(tryLock(root, { signal, timeoutMs: 3_600_000 }))
  t.is(error.reason, 'aborted')
  t.is(error.cause, signal.reason)
  t.is(error.holder!.pid, process.pid)
})

needing(test, linux)('a wait whose limit has passed leaves nothing in the kernel', async (t) => {
  const root = await temporaryRoot(t)
  const holder = child(t, 'holder', { root })
  await holder.says('held')
  await t.throwsAsync(tryLock(root, { timeoutMs: 20 }), expected)
  t.deepEqual(kernelLocks(root), [{ waits: false, mode: 'WRITE', pid: holder.pid }])
})

test('waits behind one whose limit passes go on', async (t) => {
  const root = await temporaryRoot(t)
  const unlock = await hold(t, root)
  const first = t.throwsAsync(tryLock(root, { timeoutMs: 30 }), expected)
  const { lock } = waiter(t, root, {}, tryRLock)
  await first
  await unlock()
  await (
    await inTime('it is granted', lock)
  )()
})

test('waiting not at all beside a limit is a contradiction', async (t) => {
  const root = await temporaryRoot(t)
  const wrong = { code: 'ERR_OUT_OF_RANGE', message: /"options\.timeoutMs".* beside wait: false/ }
  await t.throwsAsync(tryLock(root, { wait: false, timeoutMs: 1 }), wrong)
  for (const options of [
    { wait: false, timeoutMs: 0 },
    { wait: false, timeoutMs: undefined },
    { wait: true, timeoutMs: 1 }
  ]) {
    await (
      await tryLock(root, options)
    )()
  }
})
