import test from 'ava'
import { LockError, tryLock, tryRLock, withLock } from 'rootlock'

import { inTime } from '../helpers/eventually.mjs'
import { hold } from '../helpers/locks.mjs'
import { mustBlock } from '../helpers/must-block.mjs'
import { temporaryRoot } from '../helpers/temporary-root.mjs'

test('withLock holds the lock while fn runs, and not longer', async (t) => {
  const root = await temporaryRoot(t)
  const result = await withLock(root, async (signal) => {
    t.true(signal instanceof AbortSignal)
    t.false(signal.aborted)
    await t.throwsAsync(tryRLock(root, { wait: false }), { message: /^store is locked/ })
    return 'result'
  })
  t.is(result, 'result')
  await (
    await tryLock(root, { wait: false })
  )()
})

test('withLock resolves with whatever fn returns: a value, a promise, nothing', async (t) => {
  const root = await temporaryRoot(t)
  t.is(await withLock(root, () => 7), 7)
  t.is(await withLock(root, () => Promise.resolve(8)), 8)
  t.is(await withLock(root, () => {}), undefined)
})

test("withLock rejects with fn's own error, and unlocks", async (t) => {
  const root = await temporaryRoot(t)
  for (const [what, fn] of Object.entries<(error: Error) => unknown>({
    'thrown at once': (error) => {
      throw error
    },
    'rejected later': async (error) => {
      await new Promise(setImmediate)
      throw error
    }
  })) {
    const mine = new Error(what)
    t.is(await t.throwsAsync(withLock(root, () => fn(mine))), mine)
    await (
      await tryLock(root, { wait: false })
    )()
  }
})

test('withLock rejects with what fn throws even if it is not an Error', async (t) => {
  const root = await temporaryRoot(t)
  const thrown = await withLock(root, () => Promise.reject('no error')).catch(
    (error: unknown) => error
  )
  t.is(thrown, 'no error')
  await (
    await tryLock(root, { wait: false })
  )()
})

test('withLock shares the lock with options.shared', async (t) => {
  const root = await temporaryRoot(t)
  await hold(t, root, {}, tryRLock)
  await withLock(
    root,
    async () => {
      await (
        await tryRLock(root, { wait: false })
      )()
      await t.throwsAsync(tryLock(root, { wait: false }), { message: /^store is locked/ })
    },
    { shared: true }
  )
})

test('withLock waits for its turn', async (t) => {
  const root = await temporaryRoot(t)
  const unlock = await hold(t, root)
  const order: string[] = []
  const works = ['first', 'second'].map((name) =>
    withLock(root, async () => {
      order.push(`${name} begins`)
      await new Promise(setImmediate)
      order.push(`${name} ends`)
    })
  )
  await mustBlock(Promise.race(works))
  await unlock()
  await inTime('both have worked', Promise.all(works))
  t.deepEqual(order, ['first begins', 'first ends', 'second begins', 'second ends'])
})

test('withLock does not call fn when it does not acquire the lock', async (t) => {
  const root = await temporaryRoot(t)
  await hold(t, root)
  const [signal, wait] = [AbortSignal.timeout(50), false]
  for (const options of [{ signal }, { wait }]) {
    await t.throwsAsync(
      inTime(
        'it gives up',
        withLock(root, () => t.fail(), options)
      ),
      { instanceOf: LockError, code: 'ERR_LOCK_UNSUCCESSFUL' }
    )
  }
})
