/**
 * rootlock: one advisory lock per directory, shared between processes, threads and languages.
 *
 * ```ts
 * import { tryLock } from 'rootlock'
 *
 * const unlock = await tryLock('/var/lib/store', { signal: AbortSignal.timeout(5_000) })
 * try {
 *   // only one of us at a time
 * } finally {
 *   await unlock()
 * }
 * ```
 *
 * @packageDocumentation
 */

/** `rootlock:acquire`: the lock was granted. */
export declare interface AcquireMessage extends LockMessage {
    readonly token: number;
    /** From the call to the grant. */
    readonly waitMs: number;
    /** The holder that was waited for; `undefined` if the lock was free or the holder is not known. */
    readonly holder: Holder | undefined;
    /** Whether the lock was stale and taken over from a holder that had not released it. */
    readonly tookOver: boolean;
}

/** `rootlock:fail`: the lock was not granted: aborted, held and `wait: false`, or refused by the system. */
export declare interface FailMessage extends LockMessage {
    /** From the call to the failure. */
    readonly waitMs: number;
    /** The holder that was waited for, if it is known. */
    readonly holder: Holder | undefined;
    /** The error that the promise rejects with: a `LockError`, or the one that `onWait` threw. */
    readonly error: unknown;
}

/**
 * Names the lock of a file: of `data.json`, the lock file `data.json.lock` beside it. The file itself is not opened, so
 * it can be written, replaced and removed while its lock is held; a lock on the file itself would go with it.
 *
 * ```ts
 * import { file, withLock } from 'rootlock'
 *
 * await withLock(file('data.json'), async () => {
 *   // only one of us at a time
 * })
 * ```
 *
 * Symbolic links are resolved, now: two paths to one file are one lock, and a link that changes later does not matter. The
 * file need not exist yet, nor what a link leads to; its directory must. Hard links are different files.
 * Blocks for as long as the file system does.
 *
 * @throws `LockError` with `ERR_LOCK_UNSUCCESSFUL` and the system's error as its cause, if the path leads
 * nowhere, or to a directory: that is locked by its own path
 */
export declare function file(path: string | URL): FileLock;

/** The lock of a file: what `file` returns, and all that lock or inspect take. */
export declare interface FileLock {
    /** The file, without symbolic links in its path. */
    readonly path: string;
    /** The directory that the file is in, and its lock. */
    readonly directory: string;
    /** The lock file's name there: the file's, and `.lock`. */
    readonly fileName: string;
}

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

/**
 * Inspects a lock without acquiring it. Creates nothing, and needs no permission to write.
 *
 * Where the system does not report how a file is locked, `inspect` tries the lock for a few microseconds.
 * That makes no attempt of this package fail, but an attempt of another program may fail because of it.
 */
export declare function inspect(root: Lockable, options?: InspectOptions): Promise<LockState>;

/** Which lock to inspect, and how. */
export declare interface InspectOptions {
    /**
     * The lock file's name in the root.
     * @default '.lock'
     */
    fileName?: string | undefined;
    /**
     * The age in milliseconds from which a held lock is reported as stale.
     * @default 30_000
     */
    staleMs?: number | undefined;
}

/** Inspects a lock as `inspect` does, and blocks meanwhile: for as long as the file system does. */
export declare function inspectSync(root: Lockable, options?: InspectOptions): LockState;

/** What can be locked: a directory, by its path, a `file:` URL or a `Root`; or a file, by `file`. */
export declare type Lockable = string | URL | Root | FileLock;

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

/** The values of `LockError.code`; match the code, not the message. */
export declare type LockErrorCode = 'ERR_LOCK_UNSUCCESSFUL' | 'ERR_UNLOCK_UNSUCCESSFUL' | 'ERR_LOCK_LOST' | 'ERR_ROOT_CLOSED';

/**
 * The reason for an error. For `ERR_LOCK_UNSUCCESSFUL`: the lock is held (`held`), the signal aborted
 * the wait (`aborted`), the call would wait for itself, because it is inside a `withLock` of the same lock or
 * blocks the thread that holds it (`deadlock`), or the system reported an error (`system`). For
 * `ERR_LOCK_LOST`: a `LostReason`.
 */
export declare type LockErrorReason = 'held' | 'aborted' | 'deadlock' | 'system' | LostReason;

/** The fields of every message. Times are in milliseconds, with fractions. */
export declare interface LockMessage {
    /** Identifies the request: the same in all of its messages, and unique in its thread. */
    readonly id: number;
    /** The lock file. */
    readonly path: string;
    readonly mode: 'exclusive' | 'shared';
}

/** How a lock is acquired and held. */
export declare interface LockOptions {
    /**
     * Ends the wait. The promise then rejects with `ERR_LOCK_UNSUCCESSFUL`, with the signal's reason as
     * its `cause`, once nothing is locked any more; even if the lock was free, when the signal aborts in the
     * turn of the call. If it is aborted already, nothing is created, opened or recovered.
     */
    signal?: AbortSignal | undefined;
    /**
     * How long to wait for a held lock, in milliseconds. Then the promise rejects with
     * `ERR_LOCK_UNSUCCESSFUL`, the reason `held`, and the holder if it is known, as with `wait: false`; one
     * attempt is made in any case, and 0 makes no other. Storage that does not answer has a second longer.
     * @default Infinity
     */
    timeoutMs?: number | undefined;
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

/** A process that holds a lock or waits for it. */
export declare interface LockOwner {
    /** The process id; on PostgreSQL, that of its session's process at the server, in `pg_stat_activity`. */
    readonly pid: number;
    /** How it holds the lock, or wants it; of several callers, the first. */
    readonly mode: 'exclusive' | 'shared';
    /** Its program and its script, if they can be read. Control characters are escaped. */
    readonly command?: string;
    /** How many callers of this process wait; missing for other processes. */
    readonly callers?: number;
}

/** The state of a lock at the moment of the call; it may have changed since. */
export declare interface LockState {
    /**
     * `free`; or held, `exclusive` or `shared`; or held but `stale`: the holder has not refreshed the lock
     * for `staleMs`, or is certainly dead.
     */
    readonly state: 'free' | 'exclusive' | 'shared' | 'stale';
    /** The holder, if it is known; of several readers, the last. */
    readonly holder?: Holder;
    /** The age in milliseconds of the lock file's modification time, by the wall clock; missing without a lock file. */
    readonly ageMs?: number;
    /** The processes that hold the kernel lock, other programs included; missing where the system does not report them (it does on Linux). */
    readonly holders?: readonly LockOwner[];
    /**
     * The processes that wait for it, in no order; missing where the system does not report them (it does on
     * Linux). Another process appears when it waits for the lock itself: at the latest after a tenth of a
     * second, but not while it lets a writer go first.
     */
    readonly waiters?: readonly LockOwner[];
}

/**
 * Receives what an operator should know of a lock. `console` and winston fit as they are; pino needs
 * one line: `{ warn: (message, details) => log.warn(details, message), error: … }`.
 *
 * Called in the asynchronous context of the lock's caller. An error that it throws becomes an uncaught
 * exception and does not affect the lock.
 */
export declare interface Logger {
    /**
     * A stale lock was taken over, or could not be; a heartbeat failed and is retried; or other mounts or
     * machines may not see the file system's locks (reported once).
     */
    warn(message: string, details: Record<string, string>): void;
    /** A lock was lost. */
    error(message: string, details: Record<string, string>): void;
}

/** `rootlock:lost`: a heartbeat found that the lock is no longer held. */
export declare interface LostMessage extends LockMessage {
    readonly token: number;
    /** From the grant to the discovery of the loss. */
    readonly heldMs: number;
    readonly reason: LostReason;
}

/** Why a lock was lost. */
export declare type LostReason = 'hijacked' | 'heartbeat-failed';

/**
 * Opens a directory once and keeps its handle, as Go's `os.Root` does. Or opens a root on a PostgreSQL server or an etcd
 * cluster, whose locks exclude every machine that uses it:
 *
 * ```ts
 * await using root = await openRoot('postgres://app@db.example/app?root=store')
 * await using lock = await tryLock(root)
 * ```
 *
 * That needs the package `@rootlock/remote`, and at least version 14 of PostgreSQL or 3.5.13 of etcd. Everything else takes such a root
 * like any other; `fileName` then names a lock in it, and is no file.
 *
 * @param path a directory's, or its `file:` URL; or the URL of a server: `postgres://user@host/database?root=name`,
 * `etcd://host,host,host/prefix`
 */
export declare function openRoot(path: string | URL | ServerUrl): Promise<Root>;

/** Opens a root as `openRoot` does, and blocks meanwhile. */
export declare function openRootSync(path: string | URL | ServerUrl): Root;

/** `rootlock:release`: the lock was unlocked. */
export declare interface ReleaseMessage extends LockMessage {
    readonly token: number;
    /** From the grant to the end of the release. */
    readonly heldMs: number;
    /** Only when the release failed. */
    readonly error: LockError | undefined;
}

/**
 * A directory that was opened once and stays open: later renames of the path do not matter, and
 * nothing outside the directory is ever touched. Locking through it is also faster than by path. Or a root on a server.
 */
export declare interface Root {
    /** The path that it was opened by; of a server, the URL without its password. */
    readonly path: string;
    /**
     * Closes the directory. Locks and waits that began with it continue; a new request rejects with
     * `ERR_ROOT_CLOSED`. Every call of `close` resolves.
     */
    close(): Promise<void>;
    /** Closes the directory, for `await using`. */
    [Symbol.asyncDispose](): Promise<void>;
    /** Closes the directory, for `using`. */
    [Symbol.dispose](): void;
}

/** A server's URL, with what should not stand in it beside it. */
export declare interface ServerUrl {
    /** `postgres://user@host:port/database?root=name`, or `etcd://user@host:port,host:port/prefix`. */
    url: string | URL;
    /** Of the user. Never shown, logged or passed on. */
    password?: string | undefined;
    /**
     * How the connection is encrypted: `true` verifies the server's certificate and name, by the system's authorities or
     * those in the PEM file `ca`; `false` does not encrypt. The default is `true`, except for a server on this machine.
     */
    tls?: boolean | {
        ca: string;
    } | undefined;
}

/** How a lock is acquired by a call that blocks, and held. */
export declare interface SyncLockOptions extends Omit<LockOptions, 'wait'> {
    /**
     * How long to wait for a held lock, in milliseconds; nothing else runs in this thread meanwhile, not even
     * the listeners of signals such as SIGINT. 0 makes one attempt. With `Infinity`, only the grant ends
     * the wait, or the end of the process or worker. One attempt is made in any case.
     * @default 0
     */
    timeoutMs?: number | undefined;
    /**
     * If it is aborted already, the call throws, and nothing is created, opened or recovered. It can't abort
     * while the call blocks, except in `onWait`: limit the wait by `timeoutMs`.
     */
    signal?: AbortSignal | undefined;
}

/**
 * Acquires the exclusive lock of a directory and creates its lock file if it is missing. Waits until
 * the lock is acquired or `options.signal` aborts. Waiting keeps the event loop alive and blocks nothing.
 * Waiters are served in order, except that the takeover of a stale lock may change the order.
 *
 * @param root a directory that exists: a path, a `file:` URL, or one opened by `openRoot`; or a file, by `file`
 * @returns a function that releases the lock
 * @throws `LockError` with `code` `ERR_LOCK_UNSUCCESSFUL` (aborted, held with `wait: false`, or an error
 * of the system) or `ERR_ROOT_CLOSED`; `TypeError` and `RangeError` with Node's own codes for
 * wrong arguments. Only a held lock is waited for; every error rejects at once.
 */
export declare function tryLock(root: Lockable, options?: LockOptions): Promise<UnlockFunc>;

/**
 * Acquires the exclusive lock as `tryLock` does, but blocks until it is settled: for start-up code, loaders of
 * configuration and `process.on('exit')`. Makes one attempt, or waits for `options.timeoutMs` in line with
 * everybody else; nothing else runs in this thread meanwhile. On a network file system an attempt takes as
 * long as the server does.
 *
 * ```ts
 * import { tryLockSync } from 'rootlock'
 *
 * const unlock = tryLockSync('.', { timeoutMs: 5_000 })
 * try {
 *   // only one of us at a time
 * } finally {
 *   unlock.sync()
 * }
 * ```
 *
 * A wait for a lock that this thread itself holds, and could release only after this call, is refused at once
 * with `ERR_LOCK_UNSUCCESSFUL` and the reason `deadlock`. Calls of `tryLock` in this thread that wait for the
 * lock let this one pass. A lock of another thread of this process is waited for.
 *
 * @returns a function that releases the lock; `unlock.sync()` and `using` release it without a promise
 * @throws what `tryLock` rejects with; the reason is `held` if the lock was held for `timeoutMs`
 */
export declare function tryLockSync(root: Lockable, options?: SyncLockOptions): UnlockFunc;

/** Acquires the lock as `tryLock` does, but shared: any number of readers, and no writer. */
export declare function tryRLock(root: Lockable, options?: LockOptions): Promise<UnlockFunc>;

/** Acquires the lock as `tryLockSync` does, but shared: any number of readers, and no writer. */
export declare function tryRLockSync(root: Lockable, options?: SyncLockOptions): UnlockFunc;

/** Releases a lock, and has the properties that its holder needs. */
export declare interface UnlockFunc {
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

/** `rootlock:wait`: the lock was not free at once. */
export declare interface WaitMessage extends LockMessage {
    /** The holder, if it is known. */
    readonly holder: Holder | undefined;
}

/**
 * Acquires the lock, calls `fn` with a signal that aborts when the lock is lost, and always unlocks
 * before it settles. Resolves with the result of `fn`.
 *
 * Rejects with `fn`'s error, or with `ERR_LOCK_LOST` if the lock was lost while `fn` ran, whether or
 * not `fn` succeeded (its own error is then the `cause`).
 *
 * If `fn`, or work that it has started, asks for the same lock, it would wait for itself: that request
 * rejects at once, with the reason `deadlock`. A reader may ask for the lock as a reader again.
 */
export declare function withLock<T>(root: Lockable, fn: (signal: AbortSignal) => T | PromiseLike<T>, options?: WithLockOptions): Promise<Awaited<T>>;

/** How `withLock` acquires its lock. */
export declare interface WithLockOptions extends LockOptions {
    /**
     * Whether to acquire the lock as a reader.
     * @default false
     */
    shared?: boolean | undefined;
}

/** Calls `fn`. Every lock acquired inside it, asynchronously too, reports to `logger` unless it has its own. */
export declare function withLogger<T>(logger: Logger, fn: () => T): T;

export { }
