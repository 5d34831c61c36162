// Whatever the caller's code throws during a request, nothing of the request is left.

import { channel } from 'node:diagnostics_channel'
import { rm } from 'node:fs/promises'

import test from 'ava'
import { tryLock, withLock } from 'rootlock'

import { inTime } from '../helpers/eventually.mjs'
import { hold } from '../helpers/locks.mjs'
import { needing, notWine } from '../helpers/needing.mjs'
import { temporaryRoot } from '../helpers/temporary-root.mjs'

const mine = new Error('of a signal')

const fails = () => {
  throw mine
}

/** Like some polyfills, accepts only functions as listeners. */
function polyfill(more: object = {}) {
  const listeners = new Set<() => void>()
  const signal = {
    aborted: false,
    reason: undefined as unknown,
    addEventListener(_: string, listener: unknown) {
      if (typeof listener !== 'function') throw new TypeError('a listener is a function')
      listeners.add(listener as () => void)
    },
    removeEventListener(_: string, listener: unknown) {
      listeners.delete(listener as () => void)
    }
  }
  Object.defineProperties(signal, Object.getOwnPropertyDescriptors(more))
  const abort = (reason: unknown) => {
    Object.assign(signal, { aborted: true, reason })
    for (const listener of listeners) listener()
  }
  return { signal: signal as unknown as AbortSignal, abort, listeners }
}

test('a signal whose listeners must be functions aborts like any other', async (t) => {
  const root = await temporaryRoot(t)
  const unlock = await tryLock(root)
  const { signal, abort, listeners } = polyfill()
  const lock = tryLock(root, { signal })
  t.is(listeners.size, 1)
  abort('enough')
  const error = await t.throwsAsync(inTime('it settles', lock))
  t.is(error.cause as unknown, 'enough')
  t.is(listeners.size, 0)
  await unlock()
  await hold(t, root, { wait: false })
})

test('a signal that throws in addEventListener withdraws the request', async (t) => {
  const root = await temporaryRoot(t)
  const unlock = await tryLock(root)
  const { signal } = polyfill({ addEventListener: fails })
  for (const ask of [
    () => tryLock(root, { signal }),
    () => withLock(root, () => t.fail(), { signal })
  ]) {
    t.is(await t.throwsAsync(inTime('it settles', ask())), mine)
  }
  await unlock()
  // Neither was left in the queue.
  await hold(t, root, { wait: false })
})

test('a signal that aborts during addEventListener withdraws the request', async (t) => {
  const { signal } = polyfill({
    addEventListener() {
      Object.assign(signal, { aborted: true, reason: 'meanwhile' })
    }
  })
  const root = await temporaryRoot(t)
  await hold(t, root)
  const error = await t.throwsAsync(inTime('it settles', tryLock(root, { signal })))
  t.is(error.cause as unknown, 'meanwhile')
})

test('a signal that throws when its reason is read rejects with that error', async (t) => {
  const root = await temporaryRoot(t)
  const unlock = await tryLock(root)
  let asked = 0
  const { signal, abort } = polyfill({
    get reason() {
      asked++
      return fails()
    },
    set reason(_: unknown) {}
  })
  const lock = tryLock(root, { signal })
  abort('enough')
  t.is(await t.throwsAsync(inTime('it settles', lock)), mine)
  t.true(asked > 0)
  await unlock()
  await hold(t, root, { wait: false })
})

test('a signal that throws when a free lock is granted has the lock given back', async (t) => {
  const root = await temporaryRoot(t)
  await (
    await tryLock(root)
  )()
  let looks = 0
  const { signal } = polyfill({
    // Read once for its type and once before the lock is asked for.
    get aborted() {
      return ++looks > 2 ? fails() : false
    }
  })
  t.is(await t.throwsAsync(inTime('it settles', tryLock(root, { signal }))), mine)
  t.is(looks, 3)
  await hold(t, root, { wait: false })
})

test('a getter of the options that throws makes no request', async (t) => {
  const root = await temporaryRoot(t)
  const names = ['signal', 'wait', 'logger', 'fileName', 'heartbeatMs', 'staleMs', 'recover']
  for (const name of [...names, 'onWait']) {
    const options = Object.defineProperty({}, name, { get: fails, enumerable: true })
    t.is(await t.throwsAsync(tryLock(root, options)), mine, name)
    t.is(await t.throwsAsync(withLock(root, () => t.fail(), options)), mine, name)
  }
  await hold(t, root, { wait: false })
})

test('a signal that can not be listened to is refused before a request is made', async (t) => {
  const root = await temporaryRoot(t)
  const unlock = await tryLock(root)
  for (const missing of ['addEventListener', 'removeEventListener']) {
    const { signal } = polyfill({ [missing]: undefined })
    await t.throwsAsync(tryLock(root, { signal }), { code: 'ERR_INVALID_ARG_TYPE' })
  }
  await unlock()
  await hold(t, root, { wait: false })
})

/** The uncaught exceptions. */
async function uncaught(run: () => Promise<void>): Promise<unknown[]> {
  const others = process.listeners('uncaughtException')
  const thrown: unknown[] = []
  const hear = (error: unknown) => void thrown.push(error)
  process.removeAllListeners('uncaughtException').on('uncaughtException', hear)
  try {
    await run()
    await new Promise(setImmediate)
  } finally {
    process.off('uncaughtException', hear)
    for (const other of others) process.on('uncaughtException', other)
  }
  return thrown
}

test.serial(
  'an error of a subscriber is reported, and every lock is granted and released',
  async (t) => {
    const root = await temporaryRoot(t)
    const channels = ['wait', 'acquire', 'fail', 'release'].map((name) =>
      channel(`rootlock:${name}`)
    )
    for (const each of channels) each.subscribe(fails)
    t.teardown(() => channels.forEach((each) => each.unsubscribe(fails)))
    const thrown = await uncaught(async () => {
      const unlock = await tryLock(root)
      const locks = [tryLock(root), tryLock(root, { signal: new AbortController().signal })]
      await t.throwsAsync(tryLock(root, { wait: false }), { code: 'ERR_LOCK_UNSUCCESSFUL' })
      await unlock()
      for (const lock of locks) await (await inTime('it is granted', lock))()
    })
    t.true(thrown.length >= 3 && thrown.every((error) => error === mine))
  }
)

/** Wine keeps the name of a removed file while it is open. */
needing(test.serial, notWine)('an error of a logger is reported, and so is the loss', async (t) => {
  const root = await temporaryRoot(t)
  const logger = { warn: fails, error: fails }
  const thrown = await uncaught(async () => {
    const unlock = await tryLock(root, { logger, heartbeatMs: 50, staleMs: 30_000 })
    const lost = new Promise((resolve) => unlock.signal.addEventListener('abort', resolve))
    await rm(`${root}/.lock`)
    await inTime('the loss is told', lost)
    await unlock()
  })
  t.deepEqual(thrown, [mine])
})
