import { basename, dirname } from 'node:path'

import { fileName, path as checkedPath } from './arguments'
import { noFile } from './lock-error'
import { realFile } from './paths'
import { isDenied } from './permission-model'

/** The lock of a file: what `file` returns, and all that lock or inspect take. */
export interface FileLock {
  /** The file, without symbolic links in its path. */
  readonly path: string
  /** The directory that the file is in, and its lock. */
  readonly directory: string
  /** The lock file's name there: the file's, and `.lock`. */
  readonly fileName: string
}

class LockOfFile implements FileLock {
  readonly path: string
  readonly directory: string
  readonly fileName: string

  constructor(path: string) {
    this.path = path
    this.directory = dirname(path)
    this.fileName = fileName(`${basename(path)}.lock`, 'path')!
  }
}

export const isFileLock = (value: unknown): value is FileLock => value instanceof LockOfFile

/**
 * Names the lock of a file: of `data.json`, the lock file `data.json.lock` beside it. The file itself is not opened, so
 * it can be written, replaced and removed while its lock is held; a lock on the file itself would go with it.
 *
 * ```ts
 * import { file, withLock } from 'rootlock'
 *
 * await withLock(file('data.json'), async () => {
 *   // only one of us at a time
 * })
 * ```
 *
 * Symbolic links are resolved, now: two paths to one file are one lock, and a link that changes later does not matter. The
 * file need not exist yet, nor what a link leads to; its directory must. Hard links are different files.
 * Blocks for as long as the file system does.
 *
 * @throws `LockError` with `ERR_LOCK_UNSUCCESSFUL` and the system's error as its cause, if the path leads
 * nowhere, or to a directory: that is locked by its own path
 */
export function file(path: string | URL): FileLock {
  const given = checkedPath('path', path)
  try {
    return new LockOfFile(realFile(given))
  } catch (error) {
    const { syscall } = error as NodeJS.ErrnoException
    throw syscall === undefined && !isDenied(error)
      ? error
      : noFile(error as NodeJS.ErrnoException, given)
  }
}
