/**
 * What the binding is told: Windows resolves paths as text, and knows a current directory for each drive.
 * Elsewhere the binding opens them from where the process is, so that a later `chdir` does not move them.
 */
export declare function given(path: string): string;
/** How messages name it. */
export declare function absolute(path: string): string;
/** The last name of a path. */
export declare const lastName: (path: string) => string;
/**
 * A file's path without symbolic links, whether or not the file exists yet; the system resolves all but the last name.
 *
 * @throws the system's error, also one that it would not have: `EISDIR` for a directory
 */
export declare function realFile(path: string): string;
/** A name, or a path, in a directory. */
export declare function within(directory: string, name: string): string;
