import { open } from 'node:fs/promises'
import { join } from 'node:path'
import { getSystemErrorName, inspect as show, types } from 'node:util'

import test from 'ava'
import { inspect, LockError, openRoot, tryLock } from 'rootlock'

import { child } from '../helpers/child.mjs'
import { hold } from '../helpers/locks.mjs'
import { temporaryRoot } from '../helpers/temporary-root.mjs'

/** What Node's system errors are made of. */
function shape({ name, message, code, errno, syscall, path }: NodeJS.ErrnoException): object {
  return { name, message, code, errno, syscall, path }
}

test('a LockError is an Error with a name, a code and a path', async (t) => {
  const root = await temporaryRoot(t)
  await hold(t, root)
  const error = await t.throwsAsync<LockError>(tryLock(root, { wait: false }))
  t.true(error instanceof LockError)
  t.true(error instanceof Error)
  t.true(types.isNativeError(error))
  t.is(error.name, 'LockError')
  t.is(error.code, 'ERR_LOCK_UNSUCCESSFUL')
  t.is(error.path, join(root, '.lock'))
  t.deepEqual(Object.keys(error).toSorted(), ['code', 'holder', 'path', 'reason'])
  t.is(error.reason, 'held')
  t.regex(String(error), /^LockError: store is locked by pid /)
  t.regex(show(error), /LockError.*: store is locked by pid [^]* code: 'ERR_LOCK_UNSUCCESSFUL'/)
})

test('the message names the holder, as far as it is known', async (t) => {
  const root = await temporaryRoot(t)
  const holder = child(t, 'holder', { root })
  await holder.says('held')
  const error = await t.throwsAsync<LockError>(tryLock(root, { wait: false }), {
    message:
      /^store is locked by pid \d+ \(node(?:\.exe)? .*\) on host \S+ since \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/
  })
  const { pid, command, hostname, acquiredAt } = error.holder!
  const since = acquiredAt!.toISOString().replace(/\.\d+Z$/, 'Z')
  t.is(
    error.message,
    `store is locked by pid ${pid} (${command}) on host ${hostname} since ${since}`
  )
  t.is(pid, holder.pid)
})

test('a long command line is cut, a strange one kept whole', async (t) => {
  const root = await temporaryRoot(t)
  const long = child(t, 'holder', { root, filling: 'ünïcödé %20 =\n'.repeat(1_000) })
  const { token } = await long.says('held')
  const error = await t.throwsAsync<LockError>(tryLock(root, { wait: false }))
  t.like(error.holder, { pid: long.pid, token })
  t.regex(error.holder!.command!, /^node(\.exe)? /)
  t.true(error.message.length < 1_000)
})

test("a system error is the cause, shaped as Node's own", async (t) => {
  const nowhere = join(await temporaryRoot(t), 'nowhere')
  const error = await t.throwsAsync<LockError>(tryLock(nowhere))
  const cause = error.cause as NodeJS.ErrnoException
  const nodes = await t.throwsAsync<NodeJS.ErrnoException>(open(nowhere))
  t.true(cause instanceof Error)
  t.is(getSystemErrorName(cause.errno!), 'ENOENT')
  t.deepEqual(shape(cause), shape(nodes))
  t.deepEqual(Object.keys(cause).toSorted(), Object.keys(nodes).toSorted())
  t.is(error.message, `could not lock store: ${cause.message}`)
})

test('cause is there only when there is one, and is not enumerable', async (t) => {
  const root = await temporaryRoot(t)
  await hold(t, root)
  const held = await t.throwsAsync(tryLock(root, { wait: false }))
  t.false('cause' in held)
  const aborted = await t.throwsAsync(tryLock(root, { signal: AbortSignal.abort() }))
  t.true('cause' in aborted)
  t.false(Object.keys(aborted).includes('cause'))
})

test('a LockError says why the lock was not acquired', async (t) => {
  const root = await temporaryRoot(t)
  await hold(t, root)
  const reason = async (asked: Promise<unknown>) => {
    const error = await t.throwsAsync<LockError>(asked, { code: 'ERR_LOCK_UNSUCCESSFUL' })
    return error.reason
  }
  t.is(await reason(tryLock(root, { wait: false })), 'held')
  t.is(await reason(tryLock(root, { signal: AbortSignal.abort() })), 'aborted')
  t.is(await reason(tryLock(root, { signal: AbortSignal.timeout(20) })), 'aborted')
  t.is(await reason(tryLock(join(root, 'missing'))), 'system')
  t.is(await reason(inspect(join(root, 'missing'))), 'system')
  t.is(await reason(openRoot(join(root, 'missing'))), 'system')
})

test('what failed is what the message says', async (t) => {
  const missing = join(await temporaryRoot(t), 'missing')
  await t.throwsAsync(tryLock(missing), { message: /^could not lock store: ENOENT: .+ open / })
  await t.throwsAsync(inspect(missing), { message: /^could not inspect store: ENOENT: .+ open / })
  await t.throwsAsync(openRoot(missing), { message: /^could not open root: ENOENT: .+ open / })
})

test('the message says if the holder is this process', async (t) => {
  const root = await temporaryRoot(t)
  await hold(t, root)
  const message = new RegExp(`^store is locked by pid ${process.pid} .+, which is this process$`)
  await t.throwsAsync(tryLock(root, { wait: false }), { message })
  await t.throwsAsync(tryLock(root, { signal: AbortSignal.timeout(20) }), { message })
  const elsewhere = await temporaryRoot(t)
  await child(t, 'holder', { root: elsewhere }).says('held')
  const error = await t.throwsAsync(tryLock(elsewhere, { wait: false }))
  t.notRegex(error.message, /this process/)
})
