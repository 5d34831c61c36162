// The system resolves paths: `link/..` is the parent of where the link leads, which text can't tell.
// Here they are only concatenated, for messages.

import { readlinkSync, realpathSync, statSync } from 'node:fs'
import { basename, dirname, isAbsolute, resolve, sep } from 'node:path'

import { absolutePath } from './binding'

const windows = process.platform === 'win32'

/**
 * The path for the binding: Windows resolves paths as text, and has a current directory for each drive. What ends
 * in a separator stays the name of a directory.
 * Elsewhere the binding opens them from the process's current directory, so that a later `chdir` does not move them.
 */
export function given(path: string): string {
  if (!windows || path === '') return path
  return /[\\/]$/.test(path) ? within(resolve(path), '') : resolve(path)
}

/** How messages name it. */
export function absolute(path: string): string {
  return path === '' || isAbsolute(path) ? path : absolutePath(path)
}

/** As many links as the system itself follows. */
const MOST_LINKS = 40

/**
 * A file's path without symbolic links, whether or not the file exists yet; the system resolves all but the last name.
 *
 * @throws the system's error, also one that it would not have: `EISDIR` for a directory
 */
export function realFile(path: string): string {
  let links = 0
  for (let at = path; ; links++) {
    try {
      const real = realpathSync.native(at)
      if (statSync(real).isDirectory()) throw isDirectory(real)
      return real
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT' || links === MOST_LINKS) throw error
      const target = linkTarget(at)
      const name = basename(at)
      if (target !== undefined) at = isAbsolute(target) ? target : within(dirname(at), target)
      // What ends so would be a directory.
      else if (name === '' || name === '.' || name === '..' || at.endsWith(sep)) throw error
      else return within(realpathSync.native(dirname(at)), name)
    }
  }
}

function linkTarget(path: string): string | undefined {
  try {
    return readlinkSync(path)
  } catch {
    return undefined
  }
}

function isDirectory(path: string): NodeJS.ErrnoException {
  const error = new Error(
    `EISDIR: it is a directory, whose lock has the path itself, open '${path}'`
  )
  return Object.assign(error, { code: 'EISDIR', syscall: 'open', path })
}

/** A name, or a path, in a directory. */
export function within(directory: string, name: string): string {
  const ended = directory === '' || directory.endsWith('/') || (windows && directory.endsWith(sep))
  return ended ? directory + name : directory + sep + name
}
