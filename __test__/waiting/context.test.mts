import { AsyncLocalStorage } from 'node:async_hooks'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'

import test from 'ava'
import { tryLock, withLock } from 'rootlock'

import { child } from '../helpers/child.mjs'
import { eventually, inTime } from '../helpers/eventually.mjs'
import { hold, waiter } from '../helpers/locks.mjs'
import { needing, notWine } from '../helpers/needing.mjs'
import { temporaryRoot } from '../helpers/temporary-root.mjs'

const BEAT = { heartbeatMs: 50, staleMs: 30_000 }

const removing = needing(test, notWine)

const store = new AsyncLocalStorage<string>()

test('onWait is called in the context of the caller', async (t) => {
  const root = await temporaryRoot(t)
  const unlock = await hold(t, root)
  const heard: (string | undefined)[] = []
  const onWait = () => void heard.push(store.getStore())
  const locks = ['one', 'two'].map((name) => store.run(name, () => waiter(t, root, { onWait })))
  await eventually('both are told', () => heard.length === 2)
  // And when the lock is handed on in the turn of another caller's unlock.
  locks.push(store.run('three', () => waiter(t, root, { onWait })))
  await store.run('the one who unlocks', () => unlock())
  for (const { lock } of locks) {
    const next = await inTime('it is granted', lock)
    await store.run('another', () => next())
  }
  t.deepEqual(heard.toSorted(), ['one', 'three', 'two'])
})

removing('a logger and the abort event run in the context of the caller', async (t) => {
  const root = await temporaryRoot(t)
  const heard: [string, string | undefined][] = []
  const hear = (what: string) => () => void heard.push([what, store.getStore()])
  const logger = { warn: hear('warn'), error: hear('error') }
  const { signal } = await store.run('mine', async () => {
    const unlock = await tryLock(root, { ...BEAT, logger })
    unlock.signal.addEventListener('abort', hear('abort'))
    return unlock
  })
  await rm(join(root, '.lock'))
  await eventually('it is told', () => heard.length === 2)
  t.true(signal.aborted)
  t.deepEqual(heard, [
    ['error', 'mine'],
    ['abort', 'mine']
  ])
})

removing(
  'a logger and the abort event run in that context even if another context finds the loss',
  async (t) => {
    const root = await temporaryRoot(t)
    const heard: [string, string | undefined][] = []
    const hear = (what: string) => () => void heard.push([what, store.getStore()])
    const logger = { warn: hear('warn'), error: hear('error') }
    const unlock = await store.run('mine', () => tryLock(root, { ...BEAT, logger }))
    const { signal } = store.run('mine', () => unlock)
    store.run('mine', () => signal.addEventListener('abort', hear('abort')))
    await rm(join(root, '.lock'))
    await eventually('it is seen', () => store.run('another', () => signal.aborted))
    t.deepEqual(heard[0], ['error', 'mine'])
  }
)

test('fn of withLock runs in the context of the caller', async (t) => {
  const root = await temporaryRoot(t)
  const unlock = await hold(t, root)
  const work = store.run('mine', () => withLock(root, () => store.getStore()))
  await unlock()
  t.is(await work, 'mine')
})

test('a hundred waits on one signal cause no leak warning', async (t) => {
  const root = await temporaryRoot(t)
  const warnings: Error[] = []
  const hear = (warning: Error) => void warnings.push(warning)
  process.on('warning', hear)
  t.teardown(() => process.off('warning', hear))
  await hold(t, root)
  const controller = new AbortController()
  const { signal } = controller
  let listeners = 0
  const { addEventListener, removeEventListener } = signal
  signal.addEventListener = (...args: unknown[]) => {
    listeners++
    return Reflect.apply(addEventListener, signal, args) as void
  }
  signal.removeEventListener = (...args: unknown[]) => {
    listeners--
    return Reflect.apply(removeEventListener, signal, args) as void
  }
  const locks = Array.from({ length: 100 }, () => tryLock(root, { signal }))
  t.is(listeners, 1)
  controller.abort()
  const settled = await inTime('all settle', Promise.allSettled(locks))
  t.true(settled.every(({ status }) => status === 'rejected'))
  t.is(listeners, 0)
  await new Promise(setImmediate)
  t.deepEqual(warnings, [])
})

for (const when of ['before it is loaded', 'before the wait', 'during the wait']) {
  test(`fake timers installed ${when} neither keep a wait from being granted nor the process alive`, async (t) => {
    const root = await temporaryRoot(t)
    const unlock = await hold(t, root)
    const waits = child(t, 'fake-timers', { root, when })
    await waits.says('waiting')
    await unlock()
    await waits.says('granted')
    t.deepEqual(await waits.ends(), { code: 0, signal: null })
  })
}
