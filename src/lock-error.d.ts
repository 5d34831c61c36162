import type { BindingError, BindingHolder } from './binding';
import type { Holder } from './holder';
/** The values of `LockError.code`; match the code, not the message. */
export type LockErrorCode = 'ERR_LOCK_UNSUCCESSFUL' | 'ERR_UNLOCK_UNSUCCESSFUL' | 'ERR_LOCK_LOST' | 'ERR_ROOT_CLOSED';
/** Why a lock was lost. */
export type LostReason = 'hijacked' | 'heartbeat-failed';
/**
 * The reason for an error. For `ERR_LOCK_UNSUCCESSFUL`: the lock is held (`held`), the signal aborted
 * the wait (`aborted`), the call is inside a `withLock` of the same lock and would wait for itself
 * (`deadlock`), or the system reported an error (`system`). For `ERR_LOCK_LOST`: a `LostReason`.
 */
export type LockErrorReason = 'held' | 'aborted' | 'deadlock' | 'system' | LostReason;
/** The error of every lock operation that fails. */
export declare class LockError extends Error {
    /** What went wrong: match this. */
    readonly code: LockErrorCode;
    /** The lock file, or the directory. */
    readonly path: string;
    /** The holder, if the lock is held and the holder is known. */
    readonly holder?: Holder;
    /** Why: match this where the code is not enough. Missing with `ERR_ROOT_CLOSED`, which has only one. */
    readonly reason?: LockErrorReason;
    /** @internal */
    constructor(code: LockErrorCode, reason: LockErrorReason | undefined, message: string, path: string, more?: {
        cause?: unknown;
        holder?: Holder | undefined;
    });
}
/** A wait that was aborted, before or after it began. */
export declare function aborted(path: string, signal: AbortSignal, error: BindingError | undefined): LockError;
/** A wait for a lock that is released only after the wait has ended. */
export declare function deadlock(path: string): LockError;
declare const attempts: {
    readonly lock: 'could not lock store';
    readonly unlock: 'could not unlock store';
    readonly inspect: 'could not inspect store';
    readonly open: 'could not open root';
};
/** Converts an error of the binding to the one that users see; `attempt` is what they tried. */
export declare function fromBinding(error: BindingError, attempt: keyof typeof attempts): Error;
/** The reason of `unlock.signal`. */
export declare function lost(reason: LostReason, path: string): LockError;
export declare function rootClosed(path: string): LockError;
/** Converts a holder to the one that users see. Text of other processes is escaped. */
export declare function toHolder(holder: BindingHolder): Holder;
export {};
