import { read, take, throwIfAborted, type LockOptions } from './acquire'
import { boolean, callback, options as checked } from './arguments'
import { LockError } from './lock-error'
import { enter, leave } from './nesting'
import type { Lockable } from './root'

/** How `withLock` acquires its lock. */
export interface WithLockOptions extends LockOptions {
  /**
   * Whether to acquire the lock as a reader.
   * @default false
   */
  shared?: boolean | undefined
}

/**
 * Acquires the lock, calls `fn` with a signal that aborts when the lock is lost, and always unlocks
 * before it settles. Resolves with the result of `fn`.
 *
 * Rejects with `fn`'s error, or with `ERR_LOCK_LOST` if the lock was lost while `fn` ran, whether or
 * not `fn` succeeded (its own error is then the `cause`).
 *
 * If `fn`, or work that it has started, asks for the same lock, it would wait for itself: that request
 * rejects at once, with the reason `deadlock`. A reader may ask for the lock as a reader again.
 */
export async function withLock<T>(
  root: Lockable,
  fn: (signal: AbortSignal) => T | PromiseLike<T>,
  options?: WithLockOptions
): Promise<Awaited<T>> {
  callback('fn', fn)
  const given = checked(options)
  const shared = boolean('options.shared', given.shared, false)
  const request = read(root, shared, given)
  const unlock = await take(request)
  const { signal } = unlock
  let result: Awaited<T>
  try {
    // Code that ran between the grant and here may have aborted.
    throwIfAborted(request)
    result = await inContext(request.key, () => fn(signal))
  } catch (error) {
    // The error of `fn` matters most; an error of the unlock would only hide it.
    await unlock().catch(() => {})
    throw signal.aborted ? lostDuring(signal.reason, error) : error
  }
  await unlock()
  if (signal.aborted) throw signal.reason
  return result
}

async function inContext<T>(key: number, fn: () => T | PromiseLike<T>): Promise<Awaited<T>> {
  try {
    return await enter(key, fn)
  } finally {
    leave()
  }
}

function lostDuring(lost: LockError, error: unknown): LockError {
  if (error === lost) return lost
  const { code, message, path, reason } = lost
  return new LockError(code, reason, message, path, { cause: error })
}
