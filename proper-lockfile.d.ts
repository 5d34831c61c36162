/**
 * proper-lockfile's interface (4.1.2) over rootlock's locks: the same calls, options and error codes, with the wait
 * in the kernel and the heartbeat on a native thread.
 *
 * @packageDocumentation
 */

/** Whether a file is locked, by whomever, and the lock is not stale. */
export declare function check(file: string, options?: CheckOptions): Promise<boolean>;

/** Which lock is meant, and when it counts as abandoned. */
export declare interface CheckOptions extends UnlockOptions {
    /**
     * The age in milliseconds from which a lock counts as abandoned. Minimum: 2000.
     * @default 10_000
     */
    stale?: number | undefined;
}

/** Whether a file is locked, by whomever, and the lock is not stale. */
export declare function checkSync(file: string, options?: CheckOptions): boolean;

/**
 * The holder of a lock, as far as it is known. Of a holder that keeps no record (flock(1), a Go
 * program), only what the operating system reports is known.
 */
export declare interface Holder {
    /** Process id, on its own host. */
    readonly pid: number;
    /** How it holds the lock. */
    readonly mode: 'exclusive' | 'shared';
    /** Name of its host. */
    readonly hostname?: string;
    /**
     * Its program, and the script if the program is an interpreter; no other arguments, which may be
     * secrets. A long command is truncated. Control characters are escaped, here and in `hostname`.
     */
    readonly command?: string;
    /** When it was granted the lock, by its own wall clock. */
    readonly acquiredAt?: Date;
    /** Its fencing token. */
    readonly token?: number;
}

/** Acquires the lock of a file; resolves with a function that releases it. */
export declare function lock(file: string, options?: LockOptions): Promise<() => Promise<void>>;

/** The error with the code `ELOCKED`. */
export declare interface LockedError extends Error {
    readonly code: 'ELOCKED';
    /** The file, as the call resolved it. */
    readonly file: string;
    /** The holder, if it is known. */
    readonly holder?: Holder;
}

/** How a lock is acquired and held. */
export declare interface LockOptions extends CheckOptions {
    /**
     * How often, in milliseconds, the lock file's modification time is refreshed. Minimum: 1000; maximum: `stale / 2`.
     * @default stale / 2
     */
    update?: number | undefined;
    /**
     * How long to wait for a held lock: for as long as all these retries would take. Nothing is retried.
     * @default 0
     */
    retries?: number | readonly number[] | RetryOptions | undefined;
    /** Called when the lock was lost; by default, the error is thrown and becomes an uncaught exception. */
    onCompromised?: ((error: Error) => unknown) | undefined;
}

/** Acquires the lock of a file in one attempt; returns a function that releases it. */
export declare function lockSync(file: string, options?: LockOptions): () => void;

/** The options of the package `retry` that say how long its retries take; others are ignored. */
export declare interface RetryOptions {
    /** @default 10 */
    retries?: number | undefined;
    /** @default 2 */
    factor?: number | undefined;
    /** @default 1000 */
    minTimeout?: number | undefined;
    /** @default Infinity */
    maxTimeout?: number | undefined;
    /** Counts as the longest that it can be: every timeout doubled. */
    randomize?: boolean | undefined;
    forever?: boolean | undefined;
    /** @default Infinity */
    maxRetryTime?: number | undefined;
    unref?: boolean | undefined;
}

/** Releases the lock of a file that this module holds. */
export declare function unlock(file: string, options?: UnlockOptions): Promise<void>;

/** Which lock is meant. */
export declare interface UnlockOptions {
    /**
     * Whether to resolve symbolic links; then the file must exist.
     * @default true
     */
    realpath?: boolean | undefined;
    /**
     * The lock file.
     * @default `${file}.lock`
     */
    lockfilePath?: string | undefined;
    /** Ignored: the lock is the kernel's, and no other file system has it. */
    fs?: unknown;
}

/** Releases the lock of a file that this module holds. */
export declare function unlockSync(file: string, options?: UnlockOptions): void;

export { }
