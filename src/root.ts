import {
  defaults,
  fileName as checkedFileName,
  invalidValue,
  path as checkedPath
} from './arguments'
import { ask, environment, nextKey } from './environment'
import { isFileLock, type FileLock } from './file'
import { fromBinding, rootClosed } from './lock-error'
import { absolute } from './paths'

/**
 * A directory that was opened once and stays open: later renames of the path do not matter, and
 * nothing outside the directory is ever touched. Locking through it is also faster than by path.
 */
export interface Root {
  /** The path that it was opened by. */
  readonly path: string
  /**
   * Closes the directory. Locks and waits that began with it continue; a new request rejects with
   * `ERR_ROOT_CLOSED`. Every call of `close` resolves.
   */
  close(): Promise<void>
  /** Closes the directory, for `await using`. */
  [Symbol.asyncDispose](): Promise<void>
  /** Closes the directory, for `using`. */
  [Symbol.dispose](): void
}

class OpenRoot implements Root {
  readonly path: string
  /** The binding's number for it; `undefined` once closed. */
  #number: number | undefined

  constructor(path: string, number: number) {
    this.path = path
    this.#number = number
  }

  async close(): Promise<void> {
    this[Symbol.dispose]()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  [Symbol.dispose](): void {
    if (this.#number === undefined) return
    environment.closeRoot(this.#number)
    this.#number = undefined
  }

  static number(root: OpenRoot): number {
    if (root.#number === undefined) throw rootClosed(root.path)
    return root.#number
  }
}

/** Opens a directory once and keeps its handle, as Go's `os.Root` does. */
export async function openRoot(path: string | URL): Promise<Root> {
  const opened = checkedPath('path', path)
  const shown = absolute(opened)
  const event = await ask((key) => environment.openRoot(key, opened))
  if (event.kind !== 'opened') throw fromBinding(event.error!, 'open')
  return new OpenRoot(shown, event.key)
}

/** Opens a directory as `openRoot` does, and blocks meanwhile. */
export function openRootSync(path: string | URL): Root {
  const opened = checkedPath('path', path)
  const shown = absolute(opened)
  const key = nextKey()
  const error = environment.openRootSync(key, opened)
  if (error) throw fromBinding(error, 'open')
  return new OpenRoot(shown, key)
}

/** What can be locked: a directory, by its path, a `file:` URL or a `Root`; or a file, by `file`. */
export type Lockable = string | URL | Root | FileLock

/** Where a lock is. */
export interface Place {
  /** The directory as the binding takes it: a path, or else the number of an open one. */
  readonly root: number
  readonly path: string | undefined
  /** The directory's path, for messages. */
  readonly shown: string
  readonly fileName: string
}

/** Where the lock of a root argument is. */
export function placeOf(root: unknown, givenName: unknown): Place {
  if (isFileLock(root)) {
    const { directory, fileName } = root
    if (givenName !== undefined) {
      throw invalidValue('options.fileName', 'must not be given beside a file', givenName)
    }
    return { root: 0, path: directory, shown: directory, fileName }
  }
  const fileName = checkedFileName(givenName) ?? defaults.fileName
  if (root instanceof OpenRoot) {
    return { root: OpenRoot.number(root), path: undefined, shown: root.path, fileName }
  }
  const path = checkedPath('root', root, 'of type string, a file: URL, a Root or a file()')
  return { root: 0, path, shown: absolute(path), fileName }
}
