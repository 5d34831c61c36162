import { type LockOptions } from './acquire';
import type { Lockable } from './root';
/** How `withLock` acquires its lock. */
export interface WithLockOptions extends LockOptions {
    /**
     * Whether to acquire the lock as a reader.
     * @default false
     */
    shared?: boolean | undefined;
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
export declare function withLock<T>(root: Lockable, fn: (signal: AbortSignal) => T | PromiseLike<T>, options?: WithLockOptions): Promise<Awaited<T>>;
