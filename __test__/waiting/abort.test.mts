import { getEventListeners, setMaxListeners } from 'node:events'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'

import test from 'ava'
import { LockError, tryLock, tryRLock, withLock } from 'rootlock'

import { child, program } from '../helpers/child.mjs'
import { eventually, inTime } from '../helpers/eventually.mjs'
import { kernelLocks } from '../helpers/kernel-locks.mjs'
import { hold } from '../helpers/locks.mjs'
import { mustBlock, quiet } from '../helpers/must-block.mjs'
import { linux, needing, tool } from '../helpers/needing.mjs'
import { temporaryRoot } from '../helpers/temporary-root.mjs'

const unsuccessful = { instanceOf: LockError, code: 'ERR_LOCK_UNSUCCESSFUL' }

test('an aborted signal touches nothing', async (t) => {
  const root = await temporaryRoot(t)
  const reason = new Error('too late')
  const signal = AbortSignal.abort(reason)
  for (const lock of [
    tryLock(root, { signal }),
    tryRLock(root, { signal, wait: false }),
    withLock(root, () => t.fail(), { signal }),
    tryLock(join(root, 'nowhere'), { signal })
  ]) {
    const error = await t.throwsAsync(lock, { ...unsuccessful, message: /^could not lock store: / })
    t.is(error.cause, reason)
  }
  t.deepEqual(await readdir(root), [])
})

test('an abort ends a wait at once, with the reason as the cause', async (t) => {
  const root = await temporaryRoot(t)
  await hold(t, root)
  for (const reason of [new Error('enough'), 'enough', 0, null, undefined, { why: 'enough' }]) {
    const controller = new AbortController()
    const lock = tryLock(root, { signal: controller.signal })
    await mustBlock(lock)
    controller.abort(reason)
    const error = await t.throwsAsync(inTime('the wait ends', lock), {
      ...unsuccessful,
      message: /^store is locked/
    })
    t.true('cause' in error)
    t.is(error.cause, controller.signal.reason)
  }
})

test('an abort in the same turn as the call ends it', async (t) => {
  const root = await temporaryRoot(t)
  await hold(t, root)
  const controller = new AbortController()
  const lock = tryLock(root, { signal: controller.signal })
  controller.abort()
  const error = await t.throwsAsync(inTime('the wait ends', lock), unsuccessful)
  t.is((error.cause as Error).name, 'AbortError')
})

test('an abort ends a wait for another process', async (t) => {
  const root = await temporaryRoot(t)
  const holder = child(t, 'holder', { root })
  await holder.says('held')
  const controller = new AbortController()
  const lock = tryRLock(root, { signal: controller.signal })
  await mustBlock(lock)
  controller.abort()
  const error = await t.throwsAsync(inTime('the wait ends', lock), unsuccessful)
  t.is(error.holder?.pid, holder.pid)
})

test("the user's onabort is left alone", async (t) => {
  const root = await temporaryRoot(t)
  await hold(t, root)
  const controller = new AbortController()
  let heard = 0
  const onabort = () => heard++
  // oxlint-disable-next-line prefer-add-event-listener -- the test is about it
  controller.signal.onabort = onabort
  const lock = tryLock(root, { signal: controller.signal })
  await mustBlock(lock)
  t.is(controller.signal.onabort, onabort)
  controller.abort()
  await t.throwsAsync(lock, unsuccessful)
  t.is(controller.signal.onabort, onabort)
  t.is(heard, 1)
})

test('one signal serves many calls, one after the other and together', async (t) => {
  const root = await temporaryRoot(t)
  const controller = new AbortController()
  const { signal } = controller
  setMaxListeners(0, signal)
  for (let round = 0; round < 20; round++) await (await tryLock(root, { signal }))()
  const unlock = await tryLock(root, { signal })
  const second = tryLock(root, { signal })
  await mustBlock(second)
  await unlock()
  const held = await inTime('the second has the lock', second)
  const waiting = Array.from({ length: 20 }, () => tryLock(root, { signal }))
  await mustBlock(Promise.race(waiting))
  controller.abort()
  for (const lock of waiting) await t.throwsAsync(inTime('the wait ends', lock), unsuccessful)
  await t.throwsAsync(tryLock(root, { signal }), unsuccessful)
  t.false(held.signal.aborted)
  t.is(getEventListeners(signal, 'abort').length, 0)
  await held()
})

test('an abort of one waiter leaves the others waiting, in order', async (t) => {
  const root = await temporaryRoot(t)
  const unlock = await hold(t, root)
  const controllers = Array.from({ length: 6 }, () => new AbortController())
  const order: number[] = []
  const waiting = controllers.map(async ({ signal }, index) => {
    const mine = await tryLock(root, { signal })
    order.push(index)
    await mine()
  })
  for (const index of [0, 2, 5]) {
    controllers[index]!.abort()
    await t.throwsAsync(inTime('the wait ends', waiting[index]!), unsuccessful)
  }
  await mustBlock(Promise.race([waiting[1], waiting[3], waiting[4]]))
  await unlock()
  await inTime('the others had it', Promise.all([waiting[1], waiting[3], waiting[4]]))
  t.deepEqual(order, [1, 3, 4])
})

needing(
  test,
  linux,
  tool('flock', '--version')
)('an abort rejects while another process is stopped inside the guard', async (t) => {
  const root = await temporaryRoot(t)
  await (
    await tryLock(root)
  )()
  const guard = program(t, 'flock', [join(root, '.lock.guard'), 'sh', '-c', 'echo in; cat'])
  await guard.prints('in')
  const controllers = Array.from({ length: 3 }, () => new AbortController())
  const locks = controllers.map(({ signal }) => tryLock(root, { signal }))
  await eventually('the first has the kernel lock', () =>
    kernelLocks(root).some(({ pid }) => pid === process.pid)
  )
  // Waits until a waiter has looked at the lock.
  for (let time = 0; time < 5; time++) await quiet()
  for (const [index, controller] of controllers.entries()) {
    controller.abort()
    await t.throwsAsync(inTime('the wait ends', locks[index]!), unsuccessful)
  }
  t.deepEqual(kernelLocks(root), [], 'nothing is left of them')
})

test('an abort of the last waiter rejects even if another joins the queue at once', async (t) => {
  const root = await temporaryRoot(t)
  const holder = child(t, 'holder', { root })
  await holder.says('held')
  for (let round = 0; round < 100; round++) {
    const controller = new AbortController()
    const lock = tryLock(root, { signal: controller.signal })
    for (let turn = 0; turn < round % 10; turn++) await new Promise(setImmediate)
    controller.abort()
    const next = new AbortController()
    const other = tryLock(root, { signal: next.signal })
    await t.throwsAsync(inTime('the wait ends', lock), unsuccessful)
    next.abort()
    await t.throwsAsync(inTime('the wait ends', other), unsuccessful)
  }
})

test('an abort rejects even if another listener stops the event’s propagation', async (t) => {
  const root = await temporaryRoot(t)
  await hold(t, root)
  const controller = new AbortController()
  controller.signal.addEventListener('abort', (event) => event.stopImmediatePropagation())
  const lock = tryLock(root, { signal: controller.signal })
  await mustBlock(lock)
  controller.abort()
  await t.throwsAsync(inTime('the wait ends', lock), unsuccessful)
  t.is(getEventListeners(controller.signal, 'abort').length, 1)
})
