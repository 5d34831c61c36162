import { read, take, throwIfAborted, type LockOptions } from './acquire'
import { boolean, callback, options as checked } from './arguments'
import { LockError } from './lock-error'
import { enter, leave } from './nesting'
import type { Root } from './root'

/** How `withLock` takes its lock. */
export interface WithLockOptions extends LockOptions {
  /**
   * Take it as a reader.
   * @default false
   */
  shared?: boolean | undefined
}

/**
 * Takes the lock, calls `fn` with a signal that aborts when the lock is lost, and always unlocks
 * before it settles. Resolves with what `fn` returned.
 *
 * Rejects with `fn`'s error; or with `ERR_LOCK_LOST` when the lock was lost while `fn` ran,
 * whatever became of `fn` (its own error is then the `cause`).
 *
 * A lock that is asked for in `fn`, or in what it has begun, and that can't be granted before `fn`
 * ends, because it is the same one, rejects at once, with the reason `deadlock`. Two readers are none.
 */
export async function withLock<T>(
  root: string | URL | Root,
  fn: (signal: AbortSignal) => T | PromiseLike<T>,
  options?: WithLockOptions
): Promise<Awaited<T>> {
  callback('fn', fn)
  const shared = boolean('options.shared', checked(options).shared, false)
  const request = read(root, shared, options)
  const unlock = await take(request)
  const { signal } = unlock
  let result: Awaited<T>
  try {
    // Whatever ran between the grant and here may have aborted.
    throwIfAborted(request)
    result = await inContext(request.key, () => fn(signal))
  } catch (error) {
    // What `fn` has to say comes first: that the unlock failed too would only hide it.
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
