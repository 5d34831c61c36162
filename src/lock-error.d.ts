import type { BindingError, BindingHolder } from './binding';
import type { Holder } from './holder';
/** What `LockError.code` can be; match it, not the message. */
export type LockErrorCode = 'ERR_LOCK_UNSUCCESSFUL' | 'ERR_UNLOCK_UNSUCCESSFUL' | 'ERR_LOCK_LOST' | 'ERR_ROOT_CLOSED';
/** Why a lock that was held is not one any more. */
export type LostReason = 'hijacked' | 'heartbeat-failed';
/**
 * What is behind a code. Of `ERR_LOCK_UNSUCCESSFUL`: somebody has the lock (`held`), the signal
 * aborted the wait (`aborted`), the lock is that of the `withLock` around the call, which would have
 * waited for itself (`deadlock`), or the system said no (`system`). Of `ERR_LOCK_LOST`: how.
 */
export type LockErrorReason = 'held' | 'aborted' | 'deadlock' | 'system' | LostReason;
/** Everything that goes wrong with a lock. */
export declare class LockError extends Error {
    /** What went wrong: match this. */
    readonly code: LockErrorCode;
    /** The lock file, or the directory. */
    readonly path: string;
    /** Who holds the lock, as far as known; only when somebody does. */
    readonly holder?: Holder;
    /** Why: match this where the code is not enough. Missing with `ERR_ROOT_CLOSED`, which says it all. */
    readonly reason?: LockErrorReason;
    /** @internal */
    constructor(code: LockErrorCode, reason: LockErrorReason | undefined, message: string, path: string, more?: {
        cause?: unknown;
        holder?: Holder | undefined;
    });
}
/** A wait that was aborted, before or after it began. */
export declare function aborted(path: string, signal: AbortSignal, error: BindingError | undefined): LockError;
/** A wait for a lock that only ends when the wait has ended. */
export declare function deadlock(path: string): LockError;
declare const attempts: {
    readonly lock: 'could not lock store';
    readonly unlock: 'could not unlock store';
    readonly inspect: 'could not inspect store';
    readonly open: 'could not open root';
};
/** An error of the binding, as users see it; `attempt` is what they asked for. */
export declare function fromBinding(error: BindingError, attempt: keyof typeof attempts): Error;
/** The reason of `unlock.signal`. */
export declare function lost(reason: LostReason, path: string): LockError;
export declare function rootClosed(path: string): LockError;
/** The face's own words for a holder. Whatever another process wrote: it is read, and does nothing. */
export declare function toHolder(holder: BindingHolder): Holder;
export {};
