/**
 * A directory that was opened once and is kept open: later renames of the path do not matter, and
 * nothing outside the directory is ever touched. Locking through it is also faster than by path.
 */
export interface Root {
    /** The path that it was opened by. */
    readonly path: string;
    /**
     * Closes the directory. Locks and waits that were begun with it go on; a new one rejects with
     * `ERR_ROOT_CLOSED`. Every call resolves.
     */
    close(): Promise<void>;
    /** The same, for `await using`. */
    [Symbol.asyncDispose](): Promise<void>;
}
/** Opens a directory once and keeps its handle, as Go's `os.Root` does. */
export declare function openRoot(path: string | URL): Promise<Root>;
/** What the binding calls a root argument. */
export declare function place(root: unknown): string | number;
/** The path of a root argument that `place` has accepted. */
export declare function pathOf(root: unknown, at: string | number): string;
