import { type UnlockFunc } from './held-lock';
import type { Holder } from './holder';
import { type Logger } from './logger';
/** How a lock is taken and kept. */
export interface LockOptions {
    /**
     * Stops the waiting; the promise rejects with `ERR_LOCK_UNSUCCESSFUL` and the signal's reason as
     * its `cause`. Already aborted: nothing is created, opened or recovered.
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
    /** Called once, with the holder if known, when the lock was not free at once. */
    onWait?: ((holder: Holder | undefined) => void) | undefined;
}
/** The one way to a lock, shared or exclusive. */
export declare function acquire(root: unknown, shared: boolean, given: LockOptions | undefined): Promise<UnlockFunc>;
