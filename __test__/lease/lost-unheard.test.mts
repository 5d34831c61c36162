import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

import test from 'ava'
import { tryLock, withLock, type LockError } from 'rootlock'

import { child } from '../helpers/child.mjs'
import { DEADLINE, inTime } from '../helpers/eventually.mjs'
import { hold, QUICK } from '../helpers/locks.mjs'
import { needing, notWine, unix } from '../helpers/needing.mjs'
import { temporaryRoot } from '../helpers/temporary-root.mjs'

const BEAT = { heartbeatMs: 50, staleMs: 30_000 }

/** Wine keeps the name of a removed file while it is open. */
const removing = needing(test, notWine)

const nap = new Int32Array(new SharedArrayBuffer(4))

/** Blocks the event loop until the condition holds. */
function blockUntil(seen: () => boolean): void {
  const until = performance.now() + DEADLINE
  while (!seen()) {
    if (performance.now() > until) throw new Error('it was never seen')
    Atomics.wait(nap, 0, 0, 5)
  }
}

removing('code that blocks the event loop sees the loss in signal.aborted', async (t) => {
  const root = await temporaryRoot(t)
  const { signal } = await hold(t, root, BEAT)
  let heard = 0
  signal.addEventListener('abort', () => heard++)
  t.false(signal.aborted)
  t.is(signal.reason, undefined)
  rmSync(join(root, '.lock'))
  blockUntil(() => signal.aborted)
  t.is((signal.reason as LockError).reason, 'hijacked')
  t.is(heard, 1, 'those who listen have heard before')
  t.throws(() => signal.throwIfAborted(), { is: signal.reason as Error })
  t.true(AbortSignal.any([signal]).aborted)
})

removing('throwIfAborted asks too', async (t) => {
  const root = await temporaryRoot(t)
  const { signal } = await hold(t, root, BEAT)
  rmSync(join(root, '.lock'))
  blockUntil(() => {
    try {
      signal.throwIfAborted()
      return false
    } catch {
      return true
    }
  })
  t.is((signal.reason as LockError).code, 'ERR_LOCK_LOST')
})

removing(
  'withLock rejects even if the loss was found while fn blocked the event loop',
  async (t) => {
    const root = await temporaryRoot(t)
    const work = withLock(
      root,
      (signal) => {
        rmSync(join(root, '.lock'))
        blockUntil(() => signal.aborted)
        return 'worked on'
      },
      BEAT
    )
    const error = await t.throwsAsync<LockError>(work, { code: 'ERR_LOCK_LOST' })
    t.is(error.reason, 'hijacked')
  }
)

removing('a loss that was not reported yet is seen after the unlock', async (t) => {
  const root = await temporaryRoot(t)
  const logs: string[] = []
  const logger = { warn() {}, error: (message: string) => void logs.push(message) }
  const unlock = await tryLock(root, { ...BEAT, logger })
  const { signal } = unlock
  rmSync(join(root, '.lock'))
  blockUntil(() => signal.aborted)
  t.deepEqual(logs, ['lock was lost'], 'the operator has been told')
  await unlock()
  t.true(unlock.signal.aborted)
  await new Promise(setImmediate)
  t.deepEqual(logs, ['lock was lost'], 'and is not told again')
})

needing(test, unix)(
  'a process that was stopped for longer than its lease knows that its work is unprotected',
  async (t) => {
    const root = await temporaryRoot(t)
    const go = join(await temporaryRoot(t), 'go')
    const worker = child(t, 'stopped', { root, go, options: QUICK })
    await worker.says('working')
    await worker.freeze(root)
    const successor = await hold(t, root, QUICK)
    writeFileSync(go, '')
    worker.thaw()
    const { reason, code } = await worker.says('failed')
    t.is(code, 'ERR_LOCK_LOST')
    t.is(reason, 'hijacked')
    t.false(successor.signal.aborted)
    await inTime('it is unlocked', successor())
  }
)

needing(test, unix)(
  'a process that was stopped for longer than its lease keeps a lock that nobody took',
  async (t) => {
    const root = await temporaryRoot(t)
    const go = join(await temporaryRoot(t), 'go')
    const worker = child(t, 'stopped', { root, go, options: QUICK })
    await worker.says('working')
    await worker.freeze(root)
    // The test is about the time itself.
    await new Promise((resolve) => setTimeout(resolve, 2 * QUICK.staleMs))
    writeFileSync(go, '')
    worker.thaw()
    await worker.says('done')
    t.pass()
  }
)
