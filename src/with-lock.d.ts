import { type LockOptions } from './acquire';
import type { Root } from './root';
/** How `withLock` takes its lock. */
export interface WithLockOptions extends LockOptions {
    /**
     * Take it as a reader.
     * @default false
     */
    shared?: boolean | undefined;
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
export declare function withLock<T>(root: string | URL | Root, fn: (signal: AbortSignal) => T | PromiseLike<T>, options?: WithLockOptions): Promise<Awaited<T>>;
