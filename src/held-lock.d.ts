import type { BindingEvent } from './binding';
import type { Observer } from './diagnostics';
import type { Logger } from './logger';
/** Releases a lock, and has the properties that its holder needs. */
export interface UnlockFunc {
    /**
     * Stops and joins the heartbeat, releases the kernel lock and closes the descriptor, in that
     * order; resolves when that is done. Every call returns the same promise; only the first one
     * releases the lock. Rejects with `ERR_UNLOCK_UNSUCCESSFUL` if the unlock or the close failed, but not
     * because the lock had been lost.
     *
     * If it is never called, the lock is held until the process or its worker thread ends.
     */
    (): Promise<void>;
    /**
     * Releases the lock in the same way, but blocks until that is done, and throws what the promise would
     * reject with. On a network file system that takes as long as the server does. Only the first call of either
     * kind releases the lock; a later one blocks until the release is done.
     */
    sync(): void;
    /**
     * Aborts, with an `ERR_LOCK_LOST` error as its reason, as soon as a heartbeat finds that the lock
     * was hijacked, or the heartbeat has failed for so long that another process may take the lock over.
     * Pass it to the work that the lock protects.
     *
     * Work that blocks the event loop delays the `abort` event, but can still notice the loss:
     * `unlock.signal.aborted` checks the lock each time it is read.
     */
    readonly signal: AbortSignal;
    /**
     * The fencing token: strictly greater than the token of every earlier grant on this root, shared
     * or exclusive, across crashes, takeovers and reboots. A store that refuses tokens smaller than the
     * greatest it has seen is safe even from a holder that froze, lost its lock and wakes up again.
     */
    readonly token: number;
    /** Releases the lock, for `await using`. */
    [Symbol.asyncDispose](): Promise<void>;
    /** Releases the lock as `sync` does, for `using`. */
    [Symbol.dispose](): void;
}
/** An asynchronous context to call functions in. */
export interface Context {
    runInAsyncScope<A extends unknown[]>(fn: (...args: A) => unknown, self?: unknown, ...args: A): unknown;
}
/** Where a lock reports events, and under which path. */
export interface Reporting {
    readonly root: string;
    readonly fileName: string;
    readonly logger: Logger | undefined;
    readonly observer: Observer | undefined;
    /** The context of the lock's caller; set if there is a logger. */
    readonly context: Context | undefined;
}
export declare function lockFile({ root, fileName }: Reporting): string;
/** Passes a `log` event on to the logger. */
export declare function report({ logger, context }: Reporting, { level, message, details }: Pick<BindingEvent, 'level' | 'message' | 'details'>): void;
/** The unlock function of a lock that was granted. */
export declare function unlockFunc(key: number, token: number, reporting: Reporting): UnlockFunc;
