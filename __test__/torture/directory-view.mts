import { statSync } from 'node:fs'

import { openFiles } from '../helpers/open-files.mjs'
import { now } from './log.mjs'
import { sleep, type LockFile, type View } from './view.mjs'

export const directoryView: View = {
  /** It may be somewhere else. */
  isAway: (error) => (error as { cause?: { code?: string } }).cause?.code === 'ENOENT',
  refusesWhileAway: false,
  lockFile(root): LockFile | undefined {
    const number = onlyLockFile()
    if (number === undefined) return undefined
    return {
      number,
      stamped: () => stampOf(number),
      wasReplaced: () => wasReplaced(root, number)
    }
  },
  onlyTheStoreTells: false,
  toBeTold: 8_000,
  block: sleep
}

/** The descriptors of the lock files that this process has open. */
function lockFiles(): number[] {
  if (process.platform !== 'linux') return []
  const files = openFiles().filter(([, path]) => /\/\.lock( \(deleted\))?$/.test(path))
  return files.map(([descriptor]) => descriptor)
}

/** The number of the only lock file that this process has open at the moment. */
function onlyLockFile(): number | undefined {
  const numbers = new Set(lockFiles().map(inode))
  return numbers.size === 1 ? [...numbers][0] : undefined
}

function inode(descriptor: number): number | undefined {
  try {
    return statSync(`/proc/self/fd/${descriptor}`).ino
  } catch {
    return undefined
  }
}

function stampOf(file: number): number | undefined {
  for (const descriptor of lockFiles()) {
    try {
      const { ino, mtimeMs } = statSync(`/proc/self/fd/${descriptor}`)
      if (ino === file) return Math.round(now() - (Date.now() - mtimeMs) * 1_000)
    } catch {
      // Closed meanwhile.
    }
  }
  return undefined
}

function wasReplaced(root: string, file: number): boolean {
  try {
    return statSync(`${root}/.lock`).ino !== file
  } catch {
    return false
  }
}
