import type { Holder } from './holder';
import type { LockError, LostReason } from './lock-error';
/** The fields of every message. Times are in milliseconds, with fractions. */
export interface LockMessage {
    /** Identifies the request: the same in all of its messages, and unique in its thread. */
    readonly id: number;
    /** The lock file. */
    readonly path: string;
    readonly mode: 'exclusive' | 'shared';
}
/** `rootlock:wait`: the lock was not free at once. */
export interface WaitMessage extends LockMessage {
    /** The holder, if it is known. */
    readonly holder: Holder | undefined;
}
/** `rootlock:acquire`: the lock was granted. */
export interface AcquireMessage extends LockMessage {
    readonly token: number;
    /** From the call to the grant. */
    readonly waitMs: number;
    /** The holder that was waited for; `undefined` if the lock was free or the holder is not known. */
    readonly holder: Holder | undefined;
    /** Whether the lock was stale and taken over from a holder that had not released it. */
    readonly tookOver: boolean;
}
/** `rootlock:fail`: the lock was not granted: aborted, held and `wait: false`, or refused by the system. */
export interface FailMessage extends LockMessage {
    /** From the call to the failure. */
    readonly waitMs: number;
    /** The holder that was waited for, if it is known. */
    readonly holder: Holder | undefined;
    /** The error that the promise rejects with: a `LockError`, or the one that `onWait` threw. */
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
/** `rootlock:lost`: a heartbeat found that the lock is no longer held. */
export interface LostMessage extends LockMessage {
    readonly token: number;
    /** From the grant to the discovery of the loss. */
    readonly heldMs: number;
    readonly reason: LostReason;
}
/** The request's observer, if there are subscribers now; later subscribers see only later requests. */
export declare function observe(id: number, shared: boolean): Observer | undefined;
/** Publishes what happens to one request. */
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
