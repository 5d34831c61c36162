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
    /** Its command line, the program's name without its folder; long ones are cut. */
    readonly command?: string;
    /** When it was granted the lock, by its own wall clock. */
    readonly acquiredAt?: Date;
    /** Its fencing token. */
    readonly token?: number;
}
