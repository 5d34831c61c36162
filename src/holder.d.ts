/**
 * Who holds a lock, as far as known. A holder that keeps no record of its own (flock(1), a Go
 * program) has only what the operating system tells.
 */
export interface Holder {
    /** Process id, on its own host. */
    readonly pid: number;
    /** How it holds the lock. */
    readonly mode: 'exclusive' | 'shared';
    /** Name of its host. */
    readonly hostname?: string;
    /**
     * Its program, and the script if the program is an interpreter; no other arguments, which may be
     * secrets. Long ones are cut. What acts on a terminal is escaped, here and in `hostname`.
     */
    readonly command?: string;
    /** When it was granted the lock, by its own wall clock. */
    readonly acquiredAt?: Date;
    /** Its fencing token. */
    readonly token?: number;
}
