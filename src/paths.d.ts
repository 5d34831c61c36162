/**
 * The same path, made absolute, so that a later `chdir` does not move it. An empty one stays: it is the
 * system's to refuse, and behind the current directory it would be that one.
 */
export declare function absolute(path: string): string;
/** A name, or a path, in a directory. */
export declare function within(directory: string, name: string): string;
