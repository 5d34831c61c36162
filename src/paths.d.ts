/**
 * The same path, made absolute, so that a later `chdir` does not change its meaning. An empty path stays
 * empty, so that the system refuses it; appended to the current directory, it would mean that one.
 */
export declare function absolute(path: string): string;
/** A name, or a path, in a directory. */
export declare function within(directory: string, name: string): string;
