import type { Holder } from './holder';
import type { LockError, LostReason } from './lock-error';
/** What every message of a request has. Times are milliseconds, with fractions. */
export interface LockMessage {
    /** The same in all messages of one request; unique in its thread. */
    readonly id: number;
    /** The lock file. */
    readonly path: string;
    readonly mode: 'exclusive' | 'shared';
}
/** `rootlock:wait`: the lock was not free at once. */
export interface WaitMessage extends LockMessage {
    /** Who holds it, as far as known. */
    readonly holder: Holder | undefined;
}
/** `rootlock:acquire`: the lock was granted. */
export interface AcquireMessage extends LockMessage {
    readonly token: number;
    /** From the call to the grant. */
    readonly waitMs: number;
    /** Who was waited for; `undefined` when the lock was free, or that is not known. */
    readonly holder: Holder | undefined;
    /** Whether the lock was stale and taken over from a holder that had not let go of it. */
    readonly tookOver: boolean;
}
/** `rootlock:fail`: the lock was not granted: aborted, held and `wait: false`, or refused by the system. */
export interface FailMessage extends LockMessage {
    /** From the call to the failure. */
    readonly waitMs: number;
    /** Who was waited for, as far as known. */
    readonly holder: Holder | undefined;
    /** What the promise rejects with: a `LockError`, or what `onWait` threw. */
    readonly error: unknown;
}
/** `rootlock:release`: the lock was unlocked. */
export interface ReleaseMessage extends LockMessage {
    readonly token: number;
    /** From the grant to the end of the release. */
    readonly heldMs: number;
    /** Only when the release failed. */
    readonly error: LockError | undefined;
}
/** `rootlock:lost`: a heartbeat found that the lock is not held any more. */
export interface LostMessage extends LockMessage {
    readonly token: number;
    /** From the grant to the finding. */
    readonly heldMs: number;
    readonly reason: LostReason;
}
/** The request's observer, if somebody listens now: who subscribes later hears of later requests. */
export declare function observe(id: number, shared: boolean): Observer | undefined;
/** Publishes what becomes of one request. */
export declare class Observer {
    #private;
    constructor(id: number, shared: boolean);
    at(path: string): void;
    waits(holder: Holder | undefined): void;
    takesOver(): void;
    granted(token: number): void;
    failed(error: unknown): void;
    released(error: LockError | undefined): void;
    lost(reason: LostReason): void;
}
