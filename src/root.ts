import { path as checkedPath } from './arguments'
import { ask, environment } from './environment'
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
    if (this.#number === undefined) return
    environment.closeRoot(this.#number)
    this.#number = undefined
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
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

/** A root argument as the binding takes it: a path, or else the number of an open directory. */
export interface Place {
  readonly root: number
  readonly path: string | undefined
}

export function place(root: unknown): Place {
  return root instanceof OpenRoot
    ? { root: OpenRoot.number(root), path: undefined }
    : { root: 0, path: checkedPath('root', root) }
}

/** The path of a root argument that `place` has accepted. */
export function pathOf(root: unknown, { path }: Place): string {
  return path === undefined ? (root as Root).path : absolute(path)
}
