// The system resolves paths: `link/..` is the parent of where the link leads, which text can't tell.
// Here they are only concatenated, for messages.

import { isAbsolute, resolve, sep } from 'node:path'

import { absolutePath } from './binding'

const windows = process.platform === 'win32'

/**
 * The path for the binding: Windows resolves paths as text, and has a current directory for each drive.
 * Elsewhere the binding opens them from the process's current directory, so that a later `chdir` does not move them.
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
