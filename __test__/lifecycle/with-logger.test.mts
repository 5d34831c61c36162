import { EventEmitter } from 'node:events'
import { rename } from 'node:fs/promises'
import { join } from 'node:path'

import test, { type ExecutionContext } from 'ava'
import { tryLock, withLock, withLogger, type Logger } from 'rootlock'

import { eventually } from '../helpers/eventually.mjs'
import { temporaryRoot } from '../helpers/temporary-root.mjs'

type Log = [level: string, message: string, details: Record<string, string>]

/** A logger that needs its `this`, as winston's and many others do. */
class Recorder implements Logger {
  readonly logs: Log[] = []

  warn(message: string, details: Record<string, string>): void {
    this.logs.push(['warn', message, details])
  }

  error(message: string, details: Record<string, string>): void {
    this.logs.push(['error', message, details])
  }
}

/** Loses a lock, so that its logger is called: removes its file and waits for the loss. */
async function loseLock(t: ExecutionContext, logger?: Logger): Promise<string> {
  const root = await temporaryRoot(t)
  const path = join(root, '.lock')
  const unlock = await tryLock(root, {
    heartbeatMs: 50,
    staleMs: 30_000,
    ...(logger && { logger })
  })
  await rename(path, `${path}.elsewhere`)
  await eventually('the lock is lost', () => unlock.signal.aborted)
  await unlock()
  return path
}

const lost = (logger: Recorder) => logger.logs.map(([, , { path }]) => path)

test('a lock acquired inside withLogger reports to its logger', async (t) => {
  const logger = new Recorder()
  const path = await withLogger(logger, () => loseLock(t))
  t.is(logger.logs.length, 1)
  const [[level, message, details]] = logger.logs as [Log]
  t.is(level, 'error')
  t.is(message, 'lock was lost')
  t.like(details, { path, reason: 'hijacked' })
  t.regex(details.token!, /^\d+$/)
})

test('withLogger returns what fn returns, and throws what it throws', async (t) => {
  const logger = new Recorder()
  t.is(
    withLogger(logger, () => 7),
    7
  )
  t.is(await withLogger(logger, async () => 8), 8)
  t.throws(
    () =>
      withLogger(logger, () => {
        throw new Error('mine')
      }),
    { message: 'mine' }
  )
})

test('withLogger covers timers, promises and emitters that began inside', async (t) => {
  const logger = new Recorder()
  const emitter = new EventEmitter()
  const paths = await withLogger(logger, async () => {
    await new Promise((resolve) => setTimeout(resolve, 1))
    const first = await loseLock(t)
    await new Promise(setImmediate)
    const second = await loseLock(t)
    const third = new Promise<string>((resolve) => {
      emitter.once('event', () => resolve(loseLock(t)))
      queueMicrotask(() => emitter.emit('event'))
    })
    return [first, second, await third]
  })
  t.deepEqual(lost(logger), paths)
})

test('of two nested loggers the inner one is called inside, and the outer one afterwards', async (t) => {
  const [outer, inner] = [new Recorder(), new Recorder()]
  const paths = await withLogger(outer, async () => {
    const before = await loseLock(t)
    const within = await withLogger(inner, () => loseLock(t))
    return { before, within, after: await loseLock(t) }
  })
  t.deepEqual(lost(inner), [paths.within])
  t.deepEqual(lost(outer), [paths.before, paths.after])
})

test('options.logger takes precedence over the surrounding one', async (t) => {
  const [surrounding, own] = [new Recorder(), new Recorder()]
  const path = await withLogger(surrounding, () => loseLock(t, own))
  t.deepEqual(lost(own), [path])
  t.deepEqual(lost(surrounding), [])
})

test('concurrent contexts have separate loggers', async (t) => {
  const loggers = Array.from({ length: 5 }, () => new Recorder())
  const paths = await Promise.all(loggers.map((logger) => withLogger(logger, () => loseLock(t))))
  t.deepEqual(
    loggers.map(lost),
    paths.map((path) => [path])
  )
})

test('withLock reports to the surrounding logger too', async (t) => {
  const root = await temporaryRoot(t)
  const logger = new Recorder()
  const work = withLogger(logger, () =>
    withLock(
      root,
      async (signal) => {
        await rename(join(root, '.lock'), join(root, 'elsewhere'))
        await eventually('the lock is lost', () => signal.aborted)
      },
      { heartbeatMs: 50, staleMs: 30_000 }
    )
  )
  await t.throwsAsync(work, { code: 'ERR_LOCK_LOST' })
  t.deepEqual(lost(logger), [join(root, '.lock')])
})

test.serial('console works as a logger', async (t) => {
  const { error } = console
  const printed: unknown[][] = []
  console.error = (...line) => printed.push(line)
  t.teardown(() => (console.error = error))
  const path = await withLogger(console, () => loseLock(t))
  console.error = error
  t.is(printed.length, 1)
  t.is(printed[0]![0], 'lock was lost')
  t.like(printed[0]![1], { path })
})

test('a pino-like logger needs one line', async (t) => {
  const logs: [object, string][] = []
  const record = (details: object, message: string) => void logs.push([details, message])
  const pino = { warn: record, error: record }
  const path = await withLogger(
    {
      warn: (message, details) => pino.warn(details, message),
      error: (message, details) => pino.error(details, message)
    },
    () => loseLock(t)
  )
  t.like(logs, [[{ path }, 'lock was lost']])
})
