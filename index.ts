/**
 * rootlock: one advisory lock per directory, shared between processes, threads and languages.
 *
 * ```ts
 * import { tryLock } from 'rootlock'
 *
 * const unlock = await tryLock('/var/lib/store', { signal: AbortSignal.timeout(5_000) })
 * try {
 *   // only one of us at a time
 * } finally {
 *   await unlock()
 * }
 * ```
 *
 * @packageDocumentation
 */

// This file is the table of contents; each part lives in a file of its own name in `src/`.

import { acquire, type LockOptions } from './src/acquire'
import type { UnlockFunc } from './src/held-lock'
import type { Root } from './src/root'

export type { LockOptions } from './src/acquire'
export type { UnlockFunc } from './src/held-lock'
export type {
  AcquireMessage,
  FailMessage,
  LockMessage,
  LostMessage,
  ReleaseMessage,
  WaitMessage
} from './src/diagnostics'
export type { Holder } from './src/holder'
export { inspect, type InspectOptions, type LockState } from './src/inspect'
export {
  LockError,
  type LockErrorCode,
  type LockErrorReason,
  type LostReason
} from './src/lock-error'
export { withLogger, type Logger } from './src/logger'
export { openRoot, type Root } from './src/root'
export { withLock, type WithLockOptions } from './src/with-lock'

/**
 * Acquires the exclusive lock of a directory and creates its lock file if it is missing. Waits until
 * the lock is acquired or `options.signal` aborts. Waiting keeps the event loop alive and blocks nothing.
 * Waiters are served in order, except that the takeover of a stale lock may change the order.
 *
 * @param root a directory that exists: a path, a `file:` URL, or one opened by `openRoot`
 * @returns a function that releases the lock
 * @throws `LockError` with `code` `ERR_LOCK_UNSUCCESSFUL` (aborted, held with `wait: false`, or an error
 * of the system) or `ERR_ROOT_CLOSED`; `TypeError` and `RangeError` with Node's own codes for
 * wrong arguments. Only a held lock is waited for; every error rejects at once.
 */
export function tryLock(root: string | URL | Root, options?: LockOptions): Promise<UnlockFunc> {
  return acquire(root, false, options)
}

/** Acquires the lock as `tryLock` does, but shared: any number of readers, and no writer. */
export function tryRLock(root: string | URL | Root, options?: LockOptions): Promise<UnlockFunc> {
  return acquire(root, true, options)
}
