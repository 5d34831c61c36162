import { type FileLock } from './file';
/**
 * A directory that was opened once and stays open: later renames of the path do not matter, and
 * nothing outside the directory is ever touched. Locking through it is also faster than by path.
 */
export interface Root {
    /** The path that it was opened by. */
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
/** Opens a directory once and keeps its handle, as Go's `os.Root` does. */
export declare function openRoot(path: string | URL): Promise<Root>;
/** Opens a directory as `openRoot` does, and blocks meanwhile. */
export declare function openRootSync(path: string | URL): Root;
/** What can be locked: a directory, by its path, a `file:` URL or a `Root`; or a file, by `file`. */
export type Lockable = string | URL | Root | FileLock;
/** Where a lock is. */
export interface Place {
    /** The directory as the binding takes it: a path, or else the number of an open one. */
    readonly root: number;
    readonly path: string | undefined;
    /** The directory's path, for messages. */
    readonly shown: string;
    readonly fileName: string;
}
/** Where the lock of a root argument is. */
export declare function placeOf(root: unknown, givenName: unknown): Place;
