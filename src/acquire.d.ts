import { type Reporting, type UnlockFunc } from './held-lock';
import type { Holder } from './holder';
import { type Logger } from './logger';
import { type Place } from './root';
/** How a lock is acquired and held. */
export interface LockOptions {
    /**
     * Ends the wait. The promise then rejects with `ERR_LOCK_UNSUCCESSFUL`, with the signal's reason as
     * its `cause`, once nothing is locked any more; even if the lock was free, when the signal aborts in the
     * turn of the call. If it is aborted already, nothing is created, opened or recovered.
     */
    signal?: AbortSignal | undefined;
    /**
     * Whether to wait for a held lock. `false` makes one attempt, then rejects with `ERR_LOCK_UNSUCCESSFUL`.
     * @default true
     */
    wait?: boolean | undefined;
    /** Receives warnings and errors. Without a logger, and outside of `withLogger`, nothing is ever printed. */
    logger?: Logger | undefined;
    /**
     * The lock file's name in the root: a plain one, without separators, and not one that could be
     * derived from another (`….guard`, `….next`). All programs that share a lock must use the same name.
     * `.posixage.lock` is the one of the Go store that this design comes from.
     * @default '.lock'
     */
    fileName?: string | undefined;
    /**
     * How often, in milliseconds, the holder's native thread refreshes the lock file's modification
     * time. Minimum: 50.
     * @default 10_000
     */
    heartbeatMs?: number | undefined;
    /**
     * The age in milliseconds from which a lock file counts as abandoned. If the holder's own `staleMs` is
     * longer, it applies instead. Minimum: 3 × `heartbeatMs`.
     * @default 30_000
     */
    staleMs?: number | undefined;
    /**
     * Whether to take over a stale lock. `false` waits for the kernel to free it; use that beside programs
     * that hold the lock file for long without refreshing it, such as flock(1).
     * @default true
     */
    recover?: boolean | undefined;
    /**
     * Called once, before the grant, if the lock was not free at once; with the holder, if it is known, and
     * in the asynchronous context of the call. An error that it throws ends the wait and rejects the promise.
     */
    onWait?: ((holder: Holder | undefined) => void) | undefined;
}
type OnWait = NonNullable<LockOptions['onWait']>;
/**
 * A request whose options are read and checked. Reading them may run the caller's code (getters, polyfills,
 * proxies); all of it has run before the binding is called, so an error that it throws leaves nothing behind.
 */
export interface Request {
    readonly key: number;
    readonly where: Place;
    readonly fileName: string | undefined;
    readonly shared: boolean;
    readonly heartbeatMs: number;
    readonly staleMs: number;
    readonly ask: number;
    readonly signal: AbortSignal | undefined;
    readonly onWait: OnWait | undefined;
    readonly reporting: Reporting;
}
/** The one way to a lock, shared or exclusive. */
export declare function acquire(root: unknown, shared: boolean, given: LockOptions | undefined): Promise<UnlockFunc>;
export declare function read(root: unknown, shared: boolean, given: LockOptions | undefined): Request;
/** Asks the binding for the lock. The caller rejects the promise with an error that this throws. */
export declare function take(request: Request): Promise<UnlockFunc>;
export declare function throwIfAborted({ signal, reporting }: Request): void;
export {};
