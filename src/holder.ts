/**
 * The holder of a lock, as far as it is known. Of a holder that keeps no record (flock(1), a Go
 * program), only what the operating system reports is known.
 */
export interface Holder {
  /** Process id, on its own host. */
  readonly pid: number
  /** How it holds the lock. */
  readonly mode: 'exclusive' | 'shared'
  /** Name of its host. */
  readonly hostname?: string
  /**
   * Its program, and the script if the program is an interpreter; no other arguments, which may be
   * secrets. A long command is truncated. Control characters are escaped, here and in `hostname`.
   */
  readonly command?: string
  /** When it was granted the lock, by its own wall clock. */
  readonly acquiredAt?: Date
  /** Its fencing token. */
  readonly token?: number
}
