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
}
/** Opens a directory once and keeps its handle, as Go's `os.Root` does. */
export declare function openRoot(path: string | URL): Promise<Root>;
/** A root argument as the binding takes it: a path, or else the number of an open directory. */
export interface Place {
    readonly root: number;
    readonly path: string | undefined;
}
export declare function place(root: unknown): Place;
/** The path of a root argument that `place` has accepted. */
export declare function pathOf(root: unknown, { path }: Place): string;
