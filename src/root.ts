import {
  defaults,
  fileName as checkedFileName,
  isServerUrl,
  invalidValue,
  path as checkedPath
} from './arguments'
import { ask, directories, nextKey, type Environment } from './environment'
import { isFileLock, type FileLock } from './file'
import { fromBinding, rootClosed } from './lock-error'
import { absolute } from './paths'
import { isServer, serverUrl, type ServerUrl } from './server-url'
import { servers } from './servers'

/**
 * A directory that was opened once and stays open: later renames of the path do not matter, and
 * nothing outside the directory is ever touched. Locking through it is also faster than by path. Or a root on a server.
 */
export interface Root {
  /** The path that it was opened by; of a server, the URL without its password. */
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
  readonly #environment: Environment
  /** The binding's number for it; `undefined` once closed. */
  #number: number | undefined

  constructor({ environment, shown }: Place, number: number) {
    this.path = shown
    this.#environment = environment
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
    this.#environment.closeRoot(this.#number)
    this.#number = undefined
  }

  /** Where a lock of it is. */
  static place(root: OpenRoot, fileName: string): LockPlace {
    const { path: shown } = root
    if (root.#number === undefined) throw rootClosed(shown)
    return { environment: root.#environment, root: root.#number, path: undefined, shown, fileName }
  }
}

/**
 * Opens a directory once and keeps its handle, as Go's `os.Root` does. Or opens a root on a PostgreSQL server or an etcd
 * cluster, whose locks exclude every machine that uses it:
 *
 * ```ts
 * await using root = await openRoot('postgres://app@db.example/app?root=store')
 * await using lock = await tryLock(root)
 * ```
 *
 * That needs the package `@rootlock/remote`, and at least version 14 of PostgreSQL or 3.5.13 of etcd. Everything else takes such a root
 * like any other; `fileName` then names a lock in it, and is no file.
 *
 * @param path a directory's, or its `file:` URL; or the URL of a server: `postgres://user@host/database?root=name`,
 * `etcd://host,host,host/prefix`
 */
export async function openRoot(path: string | URL | ServerUrl): Promise<Root> {
  const place = rootPlace(path)
  const event = await ask((key) => place.environment.openRoot(key, place.path))
  if (event.kind !== 'opened') throw fromBinding(event.error!, 'open', place.environment.engine)
  return new OpenRoot(place, event.key)
}

/** Opens a root as `openRoot` does, and blocks meanwhile. */
export function openRootSync(path: string | URL | ServerUrl): Root {
  const place = rootPlace(path)
  const key = nextKey()
  const error = place.environment.openRootSync(key, place.path)
  if (error) throw fromBinding(error, 'open', place.environment.engine)
  return new OpenRoot(place, key)
}

/** Where a root is that is not open. */
export function rootPlace(given: unknown): Place & { path: string } {
  if (isServerUrl(given) || isServer(given)) {
    const { url, shown } = serverUrl('path', given)
    return { environment: servers(), root: 0, path: url, shown }
  }
  const path = checkedPath(
    'path',
    given,
    'of type string, a file:, postgres: or etcd: URL, or an object with a url'
  )
  return { environment: directories, root: 0, path, shown: absolute(path) }
}

/** What can be locked: a directory, by its path, a `file:` URL or a `Root`; or a file, by `file`. */
export type Lockable = string | URL | Root | FileLock

/** Where a root is. */
export interface Place {
  readonly environment: Environment
  /** As the binding takes it: a path, or else the number of an open one. */
  readonly root: number
  readonly path: string | undefined
  /** Its path, for messages. */
  readonly shown: string
}

/** Where a lock is. */
export interface LockPlace extends Place {
  readonly fileName: string
}

/** Two copies of the package may be installed, or one be bundled. */
function isOtherCopys(root: unknown): boolean {
  return (root as object | null)?.constructor?.name === OpenRoot.name
}

/** Where the lock of a root argument is. */
export function placeOf(root: unknown, givenName: unknown): LockPlace {
  const environment = directories
  if (isFileLock(root)) {
    const { directory, fileName } = root
    if (givenName !== undefined) {
      throw invalidValue('options.fileName', 'must not be given beside a file', givenName)
    }
    return { environment, root: 0, path: directory, shown: directory, fileName }
  }
  const fileName = checkedFileName(givenName) ?? defaults.fileName
  if (root instanceof OpenRoot) return OpenRoot.place(root, fileName)
  if (isOtherCopys(root)) {
    throw invalidValue('root', 'must be opened by this copy of rootlock, not by another one', root)
  }
  const path = checkedPath('root', root, 'of type string, a file: URL, a Root or a file()')
  return { environment, root: 0, path, shown: absolute(path), fileName }
}
