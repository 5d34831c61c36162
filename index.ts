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

import { acquire, acquireSync, type LockOptions, type SyncLockOptions } from './src/acquire'
import type { UnlockFunc } from './src/held-lock'
import type { Lockable } from './src/root'

export type { LockOptions, SyncLockOptions } from './src/acquire'
export type { UnlockFunc } from './src/held-lock'
export type {
  AcquireMessage,
  FailMessage,
  LockMessage,
  LostMessage,
  ReleaseMessage,
  WaitMessage
} from './src/diagnostics'
export { file, type FileLock } from './src/file'
export type { Holder } from './src/holder'
export {
  inspect,
  inspectSync,
  type InspectOptions,
  type LockOwner,
  type LockState
} from './src/inspect'
export {
  LockError,
  type LockErrorCode,
  type LockErrorReason,
  type LostReason
} from './src/lock-error'
export { withLogger, type Logger } from './src/logger'
export { openRoot, openRootSync, type Lockable, type Root } from './src/root'
export type { ServerUrl } from './src/server-url'
export { withLock, type WithLockOptions } from './src/with-lock'

/**
 * Acquires the exclusive lock of a directory and creates its lock file if it is missing. Waits until
 * the lock is acquired or `options.signal` aborts. Waiting keeps the event loop alive and blocks nothing.
 * Waiters are served in order, except that the takeover of a stale lock may change the order.
 *
 * @param root a directory that exists: a path, a `file:` URL, or one opened by `openRoot`; or a file, by `file`
 * @returns a function that releases the lock
 * @throws `LockError` with `code` `ERR_LOCK_UNSUCCESSFUL` (aborted, held with `wait: false`, or an error
 * of the system) or `ERR_ROOT_CLOSED`; `TypeError` and `RangeError` with Node's own codes for
 * wrong arguments. Only a held lock is waited for; every error rejects at once.
 */
export function tryLock(root: Lockable, options?: LockOptions): Promise<UnlockFunc> {
  return acquire(root, false, options)
}

/** Acquires the lock as `tryLock` does, but shared: any number of readers, and no writer. */
export function tryRLock(root: Lockable, options?: LockOptions): Promise<UnlockFunc> {
  return acquire(root, true, options)
}

/**
 * Acquires the exclusive lock as `tryLock` does, but blocks until it is settled: for start-up code, loaders of
 * configuration and `process.on('exit')`. Makes one attempt, or waits for `options.timeoutMs` in line with
 * everybody else; nothing else runs in this thread meanwhile. On a network file system an attempt takes as
 * long as the server does.
 *
 * ```ts
 * import { tryLockSync } from 'rootlock'
 *
 * const unlock = tryLockSync('.', { timeoutMs: 5_000 })
 * try {
 *   // only one of us at a time
 * } finally {
 *   unlock.sync()
 * }
 * ```
 *
 * A wait for a lock that this thread itself holds, and could release only after this call, is refused at once
 * with `ERR_LOCK_UNSUCCESSFUL` and the reason `deadlock`. Calls of `tryLock` in this thread that wait for the
 * lock let this one pass. A lock of another thread of this process is waited for.
 *
 * @returns a function that releases the lock; `unlock.sync()` and `using` release it without a promise
 * @throws what `tryLock` rejects with; the reason is `held` if the lock was held for `timeoutMs`
 */
export function tryLockSync(root: Lockable, options?: SyncLockOptions): UnlockFunc {
  return acquireSync(root, false, options)
}

/** Acquires the lock as `tryLockSync` does, but shared: any number of readers, and no writer. */
export function tryRLockSync(root: Lockable, options?: SyncLockOptions): UnlockFunc {
  return acquireSync(root, true, options)
}
