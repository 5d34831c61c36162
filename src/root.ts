import type { BindingRoot } from '../binding.cjs'
import { path as checkedPath } from './arguments'
import { ask, environment } from './environment'
import { fromBinding, rootClosed } from './lock-error'

/**
 * A directory that was opened once and is kept open: later renames of the path do not matter, and
 * nothing outside the directory is ever touched. Locking through it is also faster than by path.
 */
export interface Root {
  /** The path that it was opened by. */
  readonly path: string
  /**
   * Closes the directory. Locks and waits that were begun with it go on; a new one rejects with
   * `ERR_ROOT_CLOSED`. Every call resolves.
   */
  close(): Promise<void>
  /** The same, for `await using`. */
  [Symbol.asyncDispose](): Promise<void>
}

class OpenRoot implements Root {
  readonly path: string
  #binding: BindingRoot | undefined

  constructor(path: string, binding: BindingRoot) {
    this.path = path
    this.#binding = binding
  }

  async close(): Promise<void> {
    const binding = this.#binding
    this.#binding = undefined
    binding?.close()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  /** What the binding calls it; private to this module, so that nobody else can make one up. */
  static place(root: OpenRoot): BindingRoot {
    if (!root.#binding) throw rootClosed(root.path)
    return root.#binding
  }
}

/** Opens a directory once and keeps its handle, as Go's `os.Root` does. */
export async function openRoot(path: string | URL): Promise<Root> {
  const opened = checkedPath('path', path)
  const event = await ask(() => environment.openRoot(opened))
  if (!event.root) throw fromBinding(event.error!)
  return new OpenRoot(opened, event.root)
}

/** A root argument as the binding wants it, and its path. */
export function place(root: unknown): { place: BindingRoot | string; path: string } {
  if (root instanceof OpenRoot) return { place: OpenRoot.place(root), path: root.path }
  const path = checkedPath('root', root)
  return { place: path, path }
}
