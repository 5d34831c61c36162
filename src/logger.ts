import { AsyncLocalStorage } from 'node:async_hooks'

import { callback, invalidType } from './arguments'

/**
 * Receives what an operator should know of a lock. `console` and winston fit as they are; pino needs
 * one line: `{ warn: (message, details) => log.warn(details, message), error: … }`.
 *
 * Called in the asynchronous context of the lock's caller. An error that it throws becomes an uncaught
 * exception and does not affect the lock.
 */
export interface Logger {
  /**
   * A stale lock was taken over, or could not be; a heartbeat failed and is retried; or other mounts or
   * machines may not see the file system's locks (reported once).
   */
  warn(message: string, details: Record<string, string>): void
  /** A lock was lost. */
  error(message: string, details: Record<string, string>): void
}

/** Made when first needed: reading its store takes time at every lock. */
let current: AsyncLocalStorage<Logger> | undefined

/** Calls `fn`. Every lock acquired inside it, asynchronously too, reports to `logger` unless it has its own. */
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
