import { AsyncLocalStorage } from 'node:async_hooks'

import { callback, invalidType } from './arguments'

/**
 * Where a lock reports what an operator wants to read. `console` and winston fit as they are; pino
 * in one line: `{ warn: (message, details) => log.warn(details, message), error: … }`.
 *
 * Called in the asynchronous context of whoever asked for the lock. What it throws is an uncaught
 * exception, and does nothing to the lock.
 */
export interface Logger {
  /**
   * Worth knowing: a stale lock was taken over, or could not be; a heartbeat failed and is tried
   * again; the file system is one whose locks may not be seen by other mounts or machines (once).
   */
  warn(message: string, details: Record<string, string>): void
  /** A lock was lost. */
  error(message: string, details: Record<string, string>): void
}

/** Made when first needed: asking for its store takes time at every lock. */
let current: AsyncLocalStorage<Logger> | undefined

/** Runs `fn`; every lock taken inside, asynchronously too, reports to `logger` unless it has its own. */
export function withLogger<T>(logger: Logger, fn: () => T): T {
  const checkedFn = callback<() => T>('fn', fn)
  current ??= new AsyncLocalStorage()
  return current.run(checked('logger', logger), checkedFn)
}

/** The logger of an option, else the surrounding one. */
export function loggerOf(option: unknown): Logger | undefined {
  return option === undefined ? current?.getStore() : checked('options.logger', option)
}

function checked(name: string, value: unknown): Logger {
  if (typeof value !== 'object' || value === null) throw invalidType(name, 'of type object', value)
  const { warn, error } = value as Partial<Logger>
  callback(`${name}.warn`, warn)
  callback(`${name}.error`, error)
  return value as Logger
}
