// Paths are the system's to resolve: `link/..` is the parent of where the link leads to, which no text tells.
// Here they are only put one behind the other, for messages.

import { isAbsolute, resolve, sep } from 'node:path'

import { absolutePath } from './binding'

const windows = process.platform === 'win32'

/**
 * What the binding is told: Windows resolves paths as text, and knows a current directory for each drive.
 * Elsewhere the binding opens them from where the process is, so that a later `chdir` does not move them.
 */
export function given(path: string): string {
  return windows && path !== '' ? resolve(path) : path
}

/** How messages name it. */
export function absolute(path: string): string {
  return path === '' || isAbsolute(path) ? path : absolutePath(path)
}

/** A name, or a path, in a directory. */
export function within(directory: string, name: string): string {
  const ended = directory === '' || directory.endsWith('/') || (windows && directory.endsWith(sep))
  return ended ? directory + name : directory + sep + name
}
