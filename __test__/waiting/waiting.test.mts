import { pbkdf2 } from 'node:crypto'
import { readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'

import test from 'ava'
import { LockError, tryLock, tryRLock } from 'rootlock'

import { child } from '../helpers/child.mjs'
import { eventually, inTime } from '../helpers/eventually.mjs'
import { kernelLocks } from '../helpers/kernel-locks.mjs'
import { hold, QUICK, waiter } from '../helpers/locks.mjs'
import { mustBlock } from '../helpers/must-block.mjs'
import { linux, needing } from '../helpers/needing.mjs'
import { temporaryRoot } from '../helpers/temporary-root.mjs'

test('the deadline bounds the call', async (t) => {
  const root = await temporaryRoot(t)
  const holder = child(t, 'holder', { root })
  await holder.says('held')
  for (const ms of [1, 50, 300]) {
    const begun = performance.now()
    await t.throwsAsync(tryLock(root, { signal: AbortSignal.timeout(ms) }), {
      instanceOf: LockError
    })
    t.true(performance.now() - begun < 10_000, `${ms} ms`)
  }
})

test('a deadline after the grant does no harm', async (t) => {
  const root = await temporaryRoot(t)
  const signal = AbortSignal.timeout(2000)
  const unlock = await tryLock(root, { signal })
  await eventually('the deadline passes', () => signal.aborted)
  t.false(unlock.signal.aborted)
  await mustBlock(waiter(t, root).lock)
  await unlock()
})

test('a hundred waiters leave the thread pool to others', async (t) => {
  const root = await temporaryRoot(t)
  const holder = child(t, 'holder', { root })
  await holder.says('held')
  const waiters = Array.from({ length: 100 }, (_, index) =>
    waiter(t, root, {}, index % 2 ? tryLock : tryRLock)
  )
  await inTime(
    'files are read',
    Promise.all([1, 2, 3, 4, 5].map(() => readFile(join(root, '.lock'))))
  )
  await inTime('keys are derived', promisify(pbkdf2)('secret', 'salt', 1, 32, 'sha256'))
  await mustBlock(Promise.race(waiters.map(({ lock }) => lock)))
  t.pass()
})

needing(test, linux)('a wait is a wait in the kernel', async (t) => {
  const root = await temporaryRoot(t)
  const holder = child(t, 'holder', { root })
  await holder.says('held')
  waiter(t, root)
  waiter(t, root)
  waiter(t, root)
  const waits = { waits: true, mode: 'WRITE', pid: process.pid }
  await eventually('it waits', () => kernelLocks(root).length > 1)
  t.deepEqual(kernelLocks(root), [{ ...waits, waits: false, pid: holder.pid }, waits])
})

test('the heartbeat keeps the lock from waiters for several times staleMs', async (t) => {
  const root = await temporaryRoot(t)
  const holder = child(t, 'holder', { root, options: QUICK })
  await holder.says('held')
  const { lock } = waiter(t, root, QUICK)
  const { mtimeMs } = await stat(join(root, '.lock'))
  const age = async () => (await stat(join(root, '.lock'))).mtimeMs - mtimeMs
  await eventually('it is held for long', async () => (await age()) > 4 * QUICK.staleMs)
  await mustBlock(lock)
  holder.tell('unlock')
  t.false((await holder.says('unlocked')).lost)
  await inTime('the lock is granted', lock)
})

test('one waiter after the other acquires the lock', async (t) => {
  const root = await temporaryRoot(t)
  const first = await hold(t, root)
  const waiters = Array.from({ length: 20 }, () => waiter(t, root).lock)
  let holders = 0
  const all = waiters.map(async (lock) => {
    const unlock = await lock
    t.is(++holders, 1)
    await new Promise(setImmediate)
    holders--
    await unlock()
  })
  await first()
  await inTime('all had it', Promise.all(all))
})
