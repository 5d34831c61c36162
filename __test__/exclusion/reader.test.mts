import test from 'ava'
import { LockError, tryLock, tryRLock } from 'rootlock'

import { child } from '../helpers/child.mjs'
import { inTime } from '../helpers/eventually.mjs'
import { hold, waiter } from '../helpers/locks.mjs'
import { mustBlock } from '../helpers/must-block.mjs'
import { temporaryRoot } from '../helpers/temporary-root.mjs'

test('many readers share the lock', async (t) => {
  const root = await temporaryRoot(t)
  for (let count = 0; count < 50; count++) await hold(t, root, {}, tryRLock)
  t.pass()
})

test('readers in many processes share the lock', async (t) => {
  const root = await temporaryRoot(t)
  const readers = Array.from({ length: 3 }, () => child(t, 'holder', { root, shared: true }))
  for (const reader of readers) await reader.says('held')
  await hold(t, root, { wait: false }, tryRLock)
  t.pass()
})

test('a reader excludes a writer', async (t) => {
  const root = await temporaryRoot(t)
  await hold(t, root, {}, tryRLock)
  await mustBlock(waiter(t, root).lock)
  await t.throwsAsync(tryLock(root, { wait: false }), {
    instanceOf: LockError,
    code: 'ERR_LOCK_UNSUCCESSFUL',
    message: /^store is locked/
  })
})

test('a writer acquires the lock when the last reader releases it', async (t) => {
  const root = await temporaryRoot(t)
  const [first, second] = [
    await hold(t, root, {}, tryRLock),
    await hold(t, root, {}, tryRLock)
  ] as const
  const { lock } = waiter(t, root)
  await mustBlock(lock)
  await first()
  await mustBlock(lock)
  await second()
  await inTime('the writer gets the lock', lock)
  t.pass()
})

test('a writer acquires the lock when the last reader in another process releases it', async (t) => {
  const root = await temporaryRoot(t)
  const readers = [1, 2].map(() => child(t, 'holder', { root, shared: true }))
  for (const reader of readers) await reader.says('held')
  const { lock } = waiter(t, root)
  await mustBlock(lock)
  readers[0]!.tell('unlock')
  await readers[0]!.says('unlocked')
  await mustBlock(lock)
  readers[1]!.tell('unlock')
  await inTime('the writer gets the lock', lock)
  t.pass()
})

test('readers that wait for a writer all acquire the lock together', async (t) => {
  const root = await temporaryRoot(t)
  const unlock = await hold(t, root)
  const readers = Array.from({ length: 10 }, () => waiter(t, root, {}, tryRLock).lock)
  await mustBlock(Promise.race(readers))
  await unlock()
  await inTime('all readers have the lock', Promise.all(readers))
  t.pass()
})
