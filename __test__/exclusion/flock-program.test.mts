import { spawnSync } from 'node:child_process'
import { stat } from 'node:fs/promises'
import { join } from 'node:path'

import test, { type ExecutionContext } from 'ava'
import { inspect, LockError, tryLock, tryRLock } from 'rootlock'

import { child, program } from '../helpers/child.mjs'
import { eventually, inTime } from '../helpers/eventually.mjs'
import { hold, waiter } from '../helpers/locks.mjs'
import { mustBlock } from '../helpers/must-block.mjs'
import { linux, needing, tool } from '../helpers/needing.mjs'
import { temporaryRoot } from '../helpers/temporary-root.mjs'

const withFlock = needing(test, tool('flock', '--version'))
const withFlockOnLinux = needing(test, linux, tool('flock', '--version'))

/** flock(1) with the lock of a root, until its input ends. */
async function flock(t: ExecutionContext, root: string, ...options: string[]) {
  const file = join(root, '.lock')
  const holder = program(t, 'flock', [...options, file, 'sh', '-c', 'echo held; cat'])
  return {
    holder,
    held: () => holder.prints('held'),
    async release() {
      holder.process.stdin!.end()
      await holder.ends()
    }
  }
}

/** What flock(1) reports of a lock that it does not wait for. */
const attempt = (root: string, ...options: string[]) =>
  spawnSync('flock', ['--nonblock', ...options, join(root, '.lock'), 'true']).status

for (const recover of [true, false]) {
  withFlock(`flock(1) keeps us out until it ends: recover: ${recover}`, async (t) => {
    const root = await temporaryRoot(t)
    const peer = await flock(t, root)
    await peer.held()
    const waiting = [tryLock, tryRLock].map((take) => waiter(t, root, { recover }, take).lock)
    await mustBlock(Promise.race(waiting))
    await peer.release()
    await (
      await inTime('the writer has it', waiting[0]!)
    )()
    await inTime('the reader has it', waiting[1]!)
    t.pass()
  })
}

withFlock('a shared flock(1) excludes our writer, not our reader', async (t) => {
  const root = await temporaryRoot(t)
  const peer = await flock(t, root, '--shared')
  await peer.held()
  const reader = await hold(t, root, { wait: false }, tryRLock)
  const { lock } = waiter(t, root)
  await mustBlock(lock)
  await reader()
  await mustBlock(lock)
  await peer.release()
  await inTime('the writer has it', lock)
  t.pass()
})

withFlock('our writer excludes flock(1), shared and exclusive', async (t) => {
  const root = await temporaryRoot(t)
  const unlock = await hold(t, root)
  t.is(attempt(root, '--exclusive'), 1)
  t.is(attempt(root, '--shared'), 1)
  await unlock()
  t.is(attempt(root, '--exclusive'), 0)
  t.is(attempt(root, '--shared'), 0)
})

withFlock('our reader excludes an exclusive flock(1), not a shared one', async (t) => {
  const root = await temporaryRoot(t)
  await hold(t, root, {}, tryRLock)
  t.is(attempt(root, '--exclusive'), 1)
  t.is(attempt(root, '--shared'), 0)
})

withFlock(
  'a waiting flock(1) acquires the lock when we unlock, and we acquire it again',
  async (t) => {
    const root = await temporaryRoot(t)
    const unlock = await hold(t, root)
    const peer = await flock(t, root)
    const held = peer.held()
    await mustBlock(held)
    await unlock()
    await held
    const { lock } = waiter(t, root, { recover: false })
    await mustBlock(lock)
    await peer.release()
    await inTime('we have it', lock)
    t.pass()
  }
)

withFlockOnLinux('flock(1) is named, with its pid and its command', async (t) => {
  const root = await temporaryRoot(t)
  // Our own ledger still has the record of a holder that released the lock, which must be ignored.
  await (
    await hold(t, root)
  )()
  const { holder, held } = await flock(t, root)
  await held()
  const error = await t.throwsAsync<LockError>(tryLock(root, { wait: false, recover: false }), {
    instanceOf: LockError,
    message: new RegExp(`^store is locked by pid ${holder.pid} \\(flock\\) `)
  })
  t.like(error.holder, { pid: holder.pid, mode: 'exclusive' })
  t.regex(error.holder!.command!, /^flock$/)
  t.is(error.holder!.token, undefined)
  t.is(error.holder!.acquiredAt, undefined)
  const seen = await inspect(root)
  t.is(seen.state, 'exclusive')
  t.is(seen.holder?.pid, holder.pid)
})

withFlock(
  'with recover: false, a flock(1) that holds the lock for long is not preempted',
  async (t) => {
    const root = await temporaryRoot(t)
    const peer = await flock(t, root)
    await peer.held()
    const terms = { heartbeatMs: 50, staleMs: 150 }
    const { lock } = waiter(t, root, { ...terms, recover: false })
    const begun = await stat(join(root, '.lock'))
    await eventually('it is long', () => Date.now() - begun.mtimeMs > 10 * terms.staleMs)
    await mustBlock(lock)
    t.is((await stat(join(root, '.lock'))).ino, begun.ino)
    await peer.release()
    await inTime('we have it', lock)
  }
)

withFlockOnLinux('an aborted wait names flock(1), not an earlier holder of ours', async (t) => {
  const root = await temporaryRoot(t)
  const ours = child(t, 'holder', { root })
  await ours.says('held')
  ours.tell('unlock')
  await ours.says('unlocked')
  const { held, holder } = await flock(t, root)
  await held()
  const { lock, abort } = waiter(t, root)
  await mustBlock(lock)
  abort()
  const error = await t.throwsAsync<LockError>(inTime('the wait ends', lock))
  t.is(error.holder!.pid, holder.pid)
})
