import { setMaxListeners } from 'node:events'
import { hostname } from 'node:os'

import test from 'ava'
import { LockError, openRoot, tryLock, tryRLock, withLock, type Holder } from 'rootlock'

import { child } from '../helpers/child.mjs'
import { eventually, inTime } from '../helpers/eventually.mjs'
import { hold, waiter } from '../helpers/locks.mjs'
import { mustBlock, quiet } from '../helpers/must-block.mjs'
import { temporaryRoot } from '../helpers/temporary-root.mjs'

/** Remembers what it was called with. */
function ear() {
  const heard: (Holder | undefined)[] = []
  const onWait = (...args: [Holder | undefined]) => void heard.push(args[0])
  return { heard, onWait }
}

test('onWait is called once, before the grant, with the holder', async (t) => {
  const root = await temporaryRoot(t)
  const holder = child(t, 'holder', { root })
  const { token } = await holder.says('held')
  const { heard, onWait } = ear()
  const order: string[] = []
  const { lock } = waiter(t, root, {
    onWait(by) {
      order.push('waiting')
      onWait(by)
    }
  })
  const granted = lock.then(() => order.push('granted'))
  await eventually('it is told', () => heard.length > 0)
  await mustBlock(granted)
  holder.tell('unlock')
  await inTime('the lock is granted', granted)
  await quiet()
  t.deepEqual(order, ['waiting', 'granted'])
  t.like(heard[0], { pid: holder.pid, hostname: hostname(), mode: 'exclusive', token })
  t.true(heard[0]!.acquiredAt instanceof Date)
  t.regex(heard[0]!.command!, /^node(\.exe)? .*holder\.mjs$/)
})

test('onWait is not called when the lock is free', async (t) => {
  const root = await temporaryRoot(t)
  const { heard, onWait } = ear()
  for (let index = 0; index < 20; index++) {
    await (
      await (index % 2 ? tryLock : tryRLock)(root, { onWait })
    )()
  }
  await hold(t, root, { onWait }, tryRLock)
  await hold(t, root, { onWait }, tryRLock)
  await quiet()
  t.is(heard.length, 0)
})

test('every waiter is notified separately', async (t) => {
  const root = await temporaryRoot(t)
  await hold(t, root)
  const ears = Array.from({ length: 5 }, ear)
  for (const { onWait } of ears) waiter(t, root, { onWait })
  await eventually('all are told', () => ears.every(({ heard }) => heard.length === 1))
  t.deepEqual(new Set(ears.map(({ heard }) => heard[0]?.pid)), new Set([process.pid]))
})

test('onWait receives a reader as the holder', async (t) => {
  const root = await temporaryRoot(t)
  const reader = child(t, 'holder', { root, shared: true })
  await reader.says('held')
  const { heard, onWait } = ear()
  waiter(t, root, { onWait })
  await eventually('it is told', () => heard.length > 0)
  t.like(heard[0], { pid: reader.pid, mode: 'shared' })
})

test('an onWait that throws ends the wait with its error, and nothing stays locked', async (t) => {
  const root = await temporaryRoot(t)
  const unlock = await hold(t, root)
  const mine = new Error('I will not wait')
  const onWait = () => {
    throw mine
  }
  t.is(await t.throwsAsync(inTime('it ends', tryLock(root, { onWait }))), mine)
  t.is(
    await t.throwsAsync(
      inTime(
        'it ends',
        withLock(root, () => t.fail(), { onWait })
      )
    ),
    mine
  )
  await unlock()
  await hold(t, root, { wait: false })
})

test('onWait may abort the wait', async (t) => {
  const root = await temporaryRoot(t)
  await hold(t, root)
  const controller = new AbortController()
  const { signal } = controller
  const lock = tryLock(root, { signal, onWait: () => controller.abort('not today') })
  const error = await t.throwsAsync(inTime('it ends', lock), {
    instanceOf: LockError,
    code: 'ERR_LOCK_UNSUCCESSFUL'
  })
  t.is(error.cause as unknown, 'not today')
})

test('onWait may release the lock that the request waits for', async (t) => {
  const root = await temporaryRoot(t)
  const unlock = await hold(t, root)
  await hold(t, root, { onWait: () => void unlock() })
  t.pass()
})

test('onWait is not called after an abort', async (t) => {
  const root = await temporaryRoot(t)
  await hold(t, root)
  for (let round = 0; round < 50; round++) {
    const controller = new AbortController()
    const { signal } = controller
    const { heard, onWait } = ear()
    const lock = tryLock(root, { signal, onWait })
    for (let turn = 0; turn < round % 5; turn++) await new Promise(setImmediate)
    controller.abort()
    const before = heard.length
    await t.throwsAsync(inTime('it ends', lock))
    t.is(heard.length, before)
  }
})

test('onWait is called before one attempt fails', async (t) => {
  const root = await temporaryRoot(t)
  await hold(t, root)
  const { heard, onWait } = ear()
  await t.throwsAsync(tryLock(root, { wait: false, onWait }), { code: 'ERR_LOCK_UNSUCCESSFUL' })
  t.is(heard.length, 1)
})

/** Blocks the event loop. */
function busy(ms: number): void {
  const until = performance.now() + ms
  while (performance.now() < until);
}

test('onWait is called before the grant when an unlock hands the lock on in the same turn', async (t) => {
  // By path, the second request might not be in line yet.
  const root = await openRoot(await temporaryRoot(t))
  t.teardown(() => root.close())
  for (let round = 0; round < 100; round++) {
    const order: string[] = []
    const unlock = await tryLock(root)
    const lock = tryLock(root, { onWait: () => order.push('waiting') })
    const granted = lock.then(() => order.push('granted'))
    // Another thread has reported the wait meanwhile; this one has not received that yet.
    busy(round % 4)
    await unlock()
    await inTime('the lock is granted', granted)
    t.deepEqual(order, ['waiting', 'granted'], `round ${round}`)
    await (
      await lock
    )()
  }
})

test('when onWait throws in a hand-over, the lock is given back before the promise rejects', async (t) => {
  // By path, the second request might not be in line yet.
  const root = await openRoot(await temporaryRoot(t))
  t.teardown(() => root.close())
  for (let round = 0; round < 20; round++) {
    const unlock = await tryLock(root)
    // Whatever is thrown, even undefined.
    const mine = round % 2 ? new Error('I will not wait') : undefined
    const onWait = () => {
      throw mine
    }
    const lock = tryLock(root, { onWait }).then(
      () => t.fail(),
      (error: unknown) => t.is(error, mine)
    )
    busy(round % 4)
    await unlock()
    await inTime('it settles', lock)
    await (
      await tryLock(root, { wait: false })
    )()
  }
})

test('ten thousand waiters are each notified once', async (t) => {
  const root = await temporaryRoot(t)
  const unlock = await hold(t, root)
  const heard: number[] = []
  const controller = new AbortController()
  const { signal } = controller
  setMaxListeners(0, signal)
  const locks = Array.from({ length: 10_000 }, (_, index) =>
    tryLock(root, { signal, onWait: () => heard.push(index) })
  )
  const ends = Promise.allSettled(locks)
  await eventually('all are told', () => heard.length === locks.length)
  t.is(new Set(heard).size, locks.length)
  controller.abort()
  t.true((await inTime('all end', ends)).every(({ status }) => status === 'rejected'))
  await unlock()
})
