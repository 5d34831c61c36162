import { AsyncLocalStorage } from 'node:async_hooks'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

import test, { type ExecutionContext } from 'ava'
import {
  tryLock,
  tryRLock,
  type AcquireMessage,
  type FailMessage,
  type LostMessage,
  type ReleaseMessage,
  type WaitMessage
} from 'rootlock'

import { child } from '../helpers/child.mjs'
import { eventually, inTime } from '../helpers/eventually.mjs'
import { hold, QUICK, waiter } from '../helpers/locks.mjs'
import { needing, notWine, unix } from '../helpers/needing.mjs'
import { temporaryRoot } from '../helpers/temporary-root.mjs'

const onUnix = needing(test, unix)

interface Heard {
  event: string
  message: WaitMessage & AcquireMessage & FailMessage & ReleaseMessage & LostMessage
  store: unknown
}

const store = new AsyncLocalStorage<string>()

/** The messages about one root, from now to the end of the test. */
function listen(t: ExecutionContext, root: string): Heard[] {
  const heard: Heard[] = []
  for (const event of ['wait', 'acquire', 'fail', 'release', 'lost']) {
    const hear = (message: unknown) => {
      const { path } = message as WaitMessage
      if (path !== join(root, '.lock')) return
      heard.push({ event, message: message as Heard['message'], store: store.getStore() })
    }
    subscribe(`rootlock:${event}`, hear)
    t.teardown(() => unsubscribe(`rootlock:${event}`, hear))
  }
  return heard
}

const events = (heard: Heard[]) => heard.map(({ event }) => event)

test('a free lock is published when it is granted and when it is released', async (t) => {
  const root = await temporaryRoot(t)
  const heard = listen(t, root)
  const unlock = await tryRLock(root)
  await unlock()
  await unlock()
  t.deepEqual(events(heard), ['acquire', 'release'])
  const [acquire, release] = heard.map(({ message }) => message)
  t.like(acquire, { mode: 'shared', token: unlock.token, tookOver: false, holder: undefined })
  t.true(acquire!.waitMs >= 0)
  t.like(release, { id: acquire!.id, mode: 'shared', token: unlock.token, error: undefined })
  t.true(release!.heldMs > 0)
})

test('a wait is published when it begins, with the holder, and when it ends, with its length', async (t) => {
  const root = await temporaryRoot(t)
  const holder = child(t, 'holder', { root })
  await holder.says('held')
  const heard = listen(t, root)
  const { lock } = waiter(t, root)
  await eventually('the wait is told of', () => heard.length > 0)
  t.deepEqual(events(heard), ['wait'])
  t.like(heard[0]!.message.holder, { pid: holder.pid })
  holder.tell('unlock')
  const { token } = await inTime('it is granted', lock)
  t.deepEqual(events(heard), ['wait', 'acquire'])
  t.like(heard[1]!.message, { id: heard[0]!.message.id, token, tookOver: false })
  t.is(heard[1]!.message.holder, heard[0]!.message.holder)
})

test('in one process a release is published before the grant that follows it', async (t) => {
  const root = await temporaryRoot(t)
  const heard = listen(t, root)
  const unlock = await hold(t, root)
  const { lock } = waiter(t, root)
  await eventually('it waits', () => events(heard).includes('wait'))
  await unlock()
  await inTime('it is granted', lock)
  t.deepEqual(events(heard), ['acquire', 'wait', 'release', 'acquire'])
})

test('a failed request is published with its error, whatever the reason', async (t) => {
  const root = await temporaryRoot(t)
  await hold(t, root)
  const heard = listen(t, root)
  const held = await t.throwsAsync(tryLock(root, { wait: false }))
  const controller = new AbortController()
  const wait = tryLock(root, { signal: controller.signal })
  controller.abort()
  const aborted = await t.throwsAsync(wait)
  const early = await t.throwsAsync(tryLock(root, { signal: AbortSignal.abort() }))
  const failed = heard.filter(({ event }) => event === 'fail').map(({ message }) => message.error)
  t.deepEqual(failed, [held, aborted, early])
  t.false(events(heard).includes('acquire'))
})

test('a system error is published, too', async (t) => {
  const root = join(await temporaryRoot(t), 'missing')
  const heard = listen(t, root)
  const error = await t.throwsAsync(tryLock(root))
  t.deepEqual(events(heard), ['fail'])
  t.is(heard[0]!.message.error as unknown, error)
})

needing(test, notWine)('a lock that is lost is told of, and its release too', async (t) => {
  const root = await temporaryRoot(t)
  const heard = listen(t, root)
  const unlock = await hold(t, root, QUICK)
  await writeFile(join(root, 'other'), '')
  await rename(join(root, 'other'), join(root, '.lock'))
  await eventually('it is told of', () => events(heard).includes('lost'))
  await unlock()
  t.deepEqual(events(heard), ['acquire', 'lost', 'release'])
  t.like(heard[1]!.message, { token: unlock.token, reason: 'hijacked' })
  t.true(heard[1]!.message.heldMs > 0)
})

onUnix('a takeover is published as one', async (t) => {
  const root = await temporaryRoot(t)
  const holder = child(t, 'holder', { root, options: QUICK })
  await holder.says('held')
  await holder.freeze(root)
  const heard = listen(t, root)
  await hold(t, root, QUICK)
  t.like(heard.at(-1), { event: 'acquire', message: { tookOver: true } })
  t.like(heard.at(-1)!.message.holder, { pid: holder.pid })
})

test('subscribers run in the context of the caller', async (t) => {
  const root = await temporaryRoot(t)
  const heard = listen(t, root)
  const unlock = await store.run('first', () => hold(t, root))
  const second = store.run('second', () => waiter(t, root))
  await eventually('it waits', () => events(heard).includes('wait'))
  await unlock()
  await (
    await inTime('it is granted', second.lock)
  )()
  const told = heard.map(({ event, store: context }) => `${event} ${String(context)}`)
  t.deepEqual(told, [
    'acquire first',
    'wait second',
    'release first',
    'acquire second',
    'release second'
  ])
})

// Serial: other tests subscribe too.
test.serial('a subscriber added during a hold receives the requests that follow', async (t) => {
  const root = await temporaryRoot(t)
  const unlock = await hold(t, root)
  const heard = listen(t, root)
  await unlock()
  t.deepEqual(events(heard), [])
  await (
    await tryLock(root)
  )()
  t.deepEqual(events(heard), ['acquire', 'release'])
})
