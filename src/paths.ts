// Joins paths without resolving them. Only the system can resolve them: `link/..` is the parent of the
// link's target, which the text does not tell.

import { isAbsolute, resolve, sep } from 'node:path'

import { currentDirectory } from './binding'

const windows = process.platform === 'win32'

/** Steps that lead nowhere: `.`, and `./` in front. */
const NO_STEPS = /^(?:\.(?:\/+|$))+/

/**
 * The same path, made absolute, so that a later `chdir` does not change its meaning. An empty path stays
 * empty, so that the system refuses it; appended to the current directory, it would mean that one.
 */
export function absolute(path: string): string {
  if (path === '' || isAbsolute(path)) return path
  // Windows itself resolves paths as text, and knows a current directory for each drive.
  if (windows) return resolve(path)
  // Not `process.cwd()`, which remembers what the directory was called when it was first asked.
  const here = currentDirectory()
  // The directory was removed, or its name is not UTF-8: the system still knows where the path begins.
  if (here === null) return path
  const steps = path.replace(NO_STEPS, '')
  return steps === '' ? here : within(here, steps)
}

/** A name, or a path, in a directory. */
export function within(directory: string, name: string): string {
  const ended = directory === '' || directory.endsWith('/') || (windows && directory.endsWith(sep))
  return ended ? directory + name : directory + sep + name
}
