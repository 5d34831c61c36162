// The doctor's view of a lock's existing files.
//
// They may be anything, and of any size: only regular files are opened, and none is read
// that can't be ours.

import { constants, type Stats } from 'node:fs'
import { lstat, open } from 'node:fs/promises'

import { within } from '../src/paths'
import { forbidden } from './failure'
import { fail, ok, warn, type Finding } from './finding'

/** Many times the size of a guard of ours, which has two records of 512 bytes. */
const MOST_GUARD_BYTES = 64 * 1024

/** What to do if a file of ours can't be where another one is. */
export const MOVE_AWAY = 'Lock another name (--file-name), or move that file away'

type Look = (path: string, stat: Stats) => Finding | undefined | Promise<Finding | undefined>

/** Opened as a caller who locks opens them, because permissions do not tell everything. */
export async function lockFiles(directory: string, fileName: string): Promise<Finding[]> {
  const findings: Finding[] = []
  for (const [name, look] of [
    [fileName, lockFile],
    [`${fileName}.guard`, guard],
    [`${fileName}.next`, temporary]
  ] as [string, Look][]) {
    const finding = await regular(within(directory, name), look).catch(cantBeOpened)
    if (finding) findings.push(finding)
  }
  return findings.length > 0 ? findings : [ok('the lock files are sound, or do not exist yet')]
}

async function regular(path: string, look: Look): Promise<Finding | undefined> {
  const stat = await lstat(path)
  if (!stat.isFile()) {
    return fail(`${path} is not a regular file`, 'See what it is; nothing else may have its name')
  }
  if (stat.nlink > 1) {
    const next =
      'Whoever locks would write into a file elsewhere: remove this name while nobody locks'
    return fail(`${path} has ${stat.nlink} names (hard links)`, next)
  }
  return look(path, stat)
}

const lockFile: Look = async (path, { size }) => {
  await canBeOpened(path)
  if (size === 0) return undefined
  const next =
    'If its holder freezes, nobody takes the lock over: lock an empty file (--file-name, or --file for its own)'
  return warn(`${path} has content, which is never replaced`, next)
}

const guard: Look = async (path, { size }) => {
  await canBeOpened(path)
  if (size <= MOST_GUARD_BYTES) return undefined
  return fail(`${path} has ${size} bytes: it is not a guard of a lock`, MOVE_AWAY)
}

/** The next takeover removes what an earlier one left, but nothing that no takeover makes. */
const temporary: Look = (path, { size }) => {
  if (size === 0) return undefined
  return fail(`${path} has content: nobody takes the lock over beside it`, MOVE_AWAY)
}

async function canBeOpened(path: string): Promise<void> {
  const { O_RDWR, O_NOFOLLOW = 0, O_NONBLOCK = 0 } = constants
  await (await open(path, O_RDWR | O_NOFOLLOW | O_NONBLOCK)).close()
}

function cantBeOpened(error: NodeJS.ErrnoException): Finding | undefined {
  const { code, message } = error
  if (code === 'ENOENT') return undefined
  const next =
    code === 'EACCES'
      ? 'It belongs to the user who locked first: use one user, or chmod it for everyone who may lock'
      : (forbidden(code) ??
        'A lock opens it for reading and writing: find out what prevents that (lsattr, mount)')
  return fail(message, next)
}

/** A guard's content, if it may be one of ours. */
export async function guardContent(path: string): Promise<Buffer | undefined> {
  if (!(await lstat(path)).isFile()) return undefined
  // It may have been replaced by now.
  const { O_RDONLY, O_NOFOLLOW = 0, O_NONBLOCK = 0 } = constants
  const file = await open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK)
  try {
    const stat = await file.stat()
    if (!stat.isFile() || stat.size > MOST_GUARD_BYTES) return undefined
    const content = Buffer.alloc(stat.size)
    const { bytesRead } = await file.read(content, 0, content.length, 0)
    return content.subarray(0, bytesRead)
  } finally {
    await file.close()
  }
}
