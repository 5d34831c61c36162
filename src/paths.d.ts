/**
 * The path for the binding: Windows resolves paths as text, and has a current directory for each drive.
 * Elsewhere the binding opens them from the process's current directory, so that a later `chdir` does not move them.
 */
export declare function given(path: string): string;
/** How messages name it. */
export declare function absolute(path: string): string;
/** A name, or a path, in a directory. */
export declare function within(directory: string, name: string): string;
