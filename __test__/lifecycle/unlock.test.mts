import { stat, utimes } from 'node:fs/promises'
import { join } from 'node:path'

import test from 'ava'
import { tryLock, tryRLock } from 'rootlock'

import { eventually, inTime } from '../helpers/eventually.mjs'
import { hold, waiter } from '../helpers/locks.mjs'
import { mustBlock, quiet } from '../helpers/must-block.mjs'
import { temporaryRoot } from '../helpers/temporary-root.mjs'

for (const take of [tryLock, tryRLock]) {
  test(`every call of unlock returns the same promise: ${take.name}`, async (t) => {
    const unlock = await take(await temporaryRoot(t))
    const first = unlock()
    t.is(unlock(), first)
    await first
    t.is(unlock(), first)
    t.is(unlock[Symbol.asyncDispose](), first)
    t.is(await first, undefined)
  })

  test(`an ordinary unlock does not abort the signal: ${take.name}`, async (t) => {
    const unlock = await take(await temporaryRoot(t))
    const { signal } = unlock
    t.true(signal instanceof AbortSignal)
    t.is(unlock.signal, signal)
    await unlock()
    t.false(signal.aborted)
    t.false(unlock.signal.aborted)
  })
}

test('a second unlock does not release the lock of the next holder', async (t) => {
  const root = await temporaryRoot(t)
  const first = await tryLock(root)
  const { lock } = waiter(t, root)
  await first()
  await inTime('the next one has the lock', lock)
  await first()
  await first[Symbol.asyncDispose]()
  await mustBlock(waiter(t, root).lock)
  t.pass()
})

test('a lock that is released when its waiter ends is free for another process', async (t) => {
  const root = await temporaryRoot(t)
  const unlock = await hold(t, root)
  const { lock } = waiter(t, root)
  await unlock()
  await (
    await inTime('the waiter has the lock', lock)
  )()
  const again = await tryLock(root, { wait: false })
  await again()
  t.pass()
})

test('the heartbeat refreshes the lock file for as long as the lock is held, and no longer', async (t) => {
  const root = await temporaryRoot(t)
  const file = join(root, '.lock')
  const long = new Date('2020-01-01')
  const unlock = await hold(t, root, { heartbeatMs: 50, staleMs: 30_000 })
  for (let beats = 0; beats < 3; beats++) {
    await utimes(file, long, long)
    await eventually('the heart beats', async () => (await stat(file)).mtimeMs > long.getTime())
  }
  await unlock()
  await utimes(file, long, long)
  await quiet()
  t.is((await stat(file)).mtimeMs, long.getTime())
})

test('an unlock that meets a beat resolves', async (t) => {
  const root = await temporaryRoot(t)
  const terms = { heartbeatMs: 50, staleMs: 30_000 }
  // Their beats are due together: some are unlocked before, some during, some after theirs.
  const locks = await Promise.all(
    Array.from({ length: 300 }, (_, index) =>
      tryLock(root, { ...terms, fileName: `lock-${index}` })
    )
  )
  const { mtimeMs } = await stat(join(root, 'lock-0'))
  await eventually('a beat', async () => (await stat(join(root, 'lock-0'))).mtimeMs > mtimeMs)
  await inTime('all are unlocked', Promise.all(locks.map((unlock) => unlock())))
  t.false(locks.some((unlock) => unlock.signal.aborted))
})
