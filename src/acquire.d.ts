import { type Reporting, type UnlockFunc } from './held-lock';
import type { Holder } from './holder';
import { type Logger } from './logger';
/** How a lock is taken and kept. */
export interface LockOptions {
    /**
     * Stops the waiting; the promise rejects with `ERR_LOCK_UNSUCCESSFUL` and the signal's reason as
     * its `cause`, once nothing is locked. Also when it aborts in the turn of the call and the lock was
     * free. Already aborted: nothing is created, opened or recovered.
     */
    signal?: AbortSignal | undefined;
    /**
     * `false`: one attempt, then `ERR_LOCK_UNSUCCESSFUL`.
     * @default true
     */
    wait?: boolean | undefined;
    /** Where to report to. Without one, and outside of `withLogger`, nothing is ever printed. */
    logger?: Logger | undefined;
    /**
     * Name of the lock file in the root: a plain one, without separators, and not one that could be
     * derived from another (`….guard`, `….next`). All who want the same lock use the same name. `.posixage.lock` meets the Go store that this design comes from.
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
     * Age in milliseconds from which a lock file counts as abandoned. A holder's own, longer one is
     * respected. Minimum: 3 × `heartbeatMs`.
     * @default 30_000
     */
    staleMs?: number | undefined;
    /**
     * `false`: never take over a stale lock, wait for the kernel to free it. Use it beside programs
     * that hold the lock file for long without refreshing it, such as flock(1).
     * @default true
     */
    recover?: boolean | undefined;
    /**
     * Called once, with the holder if known, before the grant, when the lock was not free at once; in the
     * asynchronous context of the call. What it throws ends the wait, and the promise rejects with it.
     */
    onWait?: ((holder: Holder | undefined) => void) | undefined;
}
type OnWait = NonNullable<LockOptions['onWait']>;
/**
 * A request, read and checked. All of the caller's code that reading may run (getters, polyfills,
 * proxies) has run before anything is asked: what it throws leaves nothing behind.
 */
export interface Request {
    readonly key: number;
    readonly where: string | number;
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
/** Asks. What it throws, the promise is to reject with. */
export declare function take(request: Request): Promise<UnlockFunc>;
export declare function throwIfAborted({ signal, reporting }: Request): void;
export {};
