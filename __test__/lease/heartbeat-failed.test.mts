import { join } from 'node:path'

import test, { type ExecutionContext } from 'ava'
import { LockError } from 'rootlock'

import { program } from '../helpers/child.mjs'
import { eventually, inTime } from '../helpers/eventually.mjs'
import { hold, waiter } from '../helpers/locks.mjs'
import { mustBlock } from '../helpers/must-block.mjs'
import { needing, tool } from '../helpers/needing.mjs'
import { temporaryRoot } from '../helpers/temporary-root.mjs'

const withFlock = needing(test, tool('flock', '--version'))

/** Stays inside the guard, like a process that was stopped there, until its input ends. */
async function sitInGuard(t: ExecutionContext, root: string) {
  const sitter = program(t, 'flock', [join(root, '.lock.guard'), 'sh', '-c', 'echo inside; cat'])
  await sitter.prints('inside')
  return sitter
}

function listen() {
  const logs: [level: string, message: string, details: Record<string, string>][] = []
  const warn = (message: string, details: Record<string, string>) => {
    logs.push(['warn', message, details])
  }
  const error = (message: string, details: Record<string, string>) => {
    logs.push(['error', message, details])
  }
  return { logs, logger: { warn, error } }
}

withFlock('a holder whose beats fail for long is notified that it lost the lock', async (t) => {
  const root = await temporaryRoot(t)
  const { logs, logger } = listen()
  const unlock = await hold(t, root, { heartbeatMs: 100, staleMs: 800, logger })
  const { signal } = unlock
  const sitter = await sitInGuard(t, root)
  await eventually('it is told', () => signal.aborted)
  const reason = signal.reason as LockError
  t.true(reason instanceof LockError)
  t.is(reason.code, 'ERR_LOCK_LOST')
  t.is(reason.reason, 'heartbeat-failed')
  t.deepEqual(
    logs.map(([level, message]) => [level, message]),
    [
      ['warn', 'heartbeat failed, trying again'],
      ['error', 'lock was lost']
    ]
  )
  t.is(logs[0]![2].path, join(root, '.lock'))
  t.regex(logs[0]![2].reason!, /\.lock\.guard/)
  t.is(logs[1]![2].reason, 'heartbeat-failed')
  t.is(logs[1]![2].token, String(unlock.token))
  await t.notThrowsAsync(unlock())
  sitter.process.stdin!.end()
})

withFlock('a holder whose beats fail for a short time keeps the lock', async (t) => {
  const root = await temporaryRoot(t)
  const { logs, logger } = listen()
  const unlock = await hold(t, root, { heartbeatMs: 100, staleMs: 60_000, logger })
  const sitter = await sitInGuard(t, root)
  await eventually('a beat fails', () => logs.length > 0)
  sitter.process.stdin!.end()
  await sitter.ends()
  t.false(unlock.signal.aborted)
  const { lock } = waiter(t, root)
  await mustBlock(lock)
  await unlock()
  await inTime('the lock is granted', lock)
  t.deepEqual([...new Set(logs.map(([level]) => level))], ['warn'])
})

withFlock(
  'a wait goes on while a process stays inside the guard, and can be aborted',
  async (t) => {
    const root = await temporaryRoot(t)
    const unlock = await hold(t, root)
    const sitter = await sitInGuard(t, root)
    const patient = waiter(t, root)
    const hasty = waiter(t, root)
    await unlock()
    await mustBlock(patient.lock)
    hasty.abort()
    await t.throwsAsync(hasty.lock, { code: 'ERR_LOCK_UNSUCCESSFUL' })
    await mustBlock(patient.lock)
    sitter.process.stdin!.end()
    await inTime('the lock is granted', patient.lock)
  }
)

withFlock('one attempt does not wait for a process that stays inside the guard', async (t) => {
  const root = await temporaryRoot(t)
  await (
    await hold(t, root)
  )()
  await sitInGuard(t, root)
  const { lock } = waiter(t, root, { wait: false })
  await t.throwsAsync(lock, { instanceOf: LockError, code: 'ERR_LOCK_UNSUCCESSFUL' })
})
