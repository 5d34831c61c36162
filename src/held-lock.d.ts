import type { BindingEvent } from './binding';
import type { Observer } from './diagnostics';
import type { Logger } from './logger';
/** Releases a lock. Also carries what its holder needs to know of it. */
export interface UnlockFunc {
    /**
     * Stops and joins the heartbeat, releases the kernel lock and closes the descriptor, in that
     * order; resolves when that is done. Every call returns the same promise, only the first one
     * releases. Rejects with `ERR_UNLOCK_UNSUCCESSFUL` if the unlock or the close failed; that the
     * lock had been lost is not its error.
     *
     * Never called, the lock stays until the process or its worker thread ends.
     */
    (): Promise<void>;
    /**
     * Aborts, with an `ERR_LOCK_LOST` error as its reason, as soon as a heartbeat finds that the lock
     * was hijacked, or has failed for so long that another process may take the lock over. Pass it to
     * the work that the lock protects.
     *
     * Work that blocks the event loop keeps the `abort` event from being dispatched, but not the loss
     * from being seen: `unlock.signal.aborted` asks, each time.
     */
    readonly signal: AbortSignal;
    /**
     * The fencing token: strictly greater than the token of every earlier grant on this root, shared
     * or exclusive, over crashes, takeovers and reboots. A store that refuses smaller tokens than it
     * has seen is safe even from a holder that was frozen, lost its lock and wakes up again.
     */
    readonly token: number;
    /** The same as calling it, for `await using`. */
    [Symbol.asyncDispose](): Promise<void>;
}
/** An asynchronous context, to run what belongs there in. */
export interface Context {
    runInAsyncScope<A extends unknown[]>(fn: (...args: A) => unknown, self?: unknown, ...args: A): unknown;
}
/** What a lock reports to, and under which path. */
export interface Reporting {
    readonly root: string;
    readonly fileName: string;
    readonly logger: Logger | undefined;
    readonly observer: Observer | undefined;
    /** Of the one who asked for the lock; there if there is a logger. */
    readonly context: Context | undefined;
}
export declare function lockFile({ root, fileName }: Reporting): string;
/** The part of a request's events that goes to the operator. */
export declare function report({ logger, context }: Reporting, { level, message, details }: Pick<BindingEvent, 'level' | 'message' | 'details'>): void;
/** The face of a lock that was granted. */
export declare function unlockFunc(key: number, token: number, reporting: Reporting): UnlockFunc;
