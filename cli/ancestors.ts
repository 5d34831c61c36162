// Nested runs: the environment says which locks the enclosing runs hold.

import { stat } from 'node:fs/promises'

import { diagnose } from '../src/diagnosis'
import { lockable, type Target } from './arguments'
import { misused, type Failure } from './failure'
import { printable } from '../src/printable'

const VARIABLE = 'ROOTLOCK_HELD'

/** A lock that a command runs under. */
export interface Ancestor {
  /** The directory's; as text, because they may exceed JavaScript's safe integers. */
  dev: string
  ino: string
  file: string
  mode: 'exclusive' | 'shared'
  /** The holder's. */
  pid: number
  token: number
}

/** The environment variables that tell a command of the lock it runs under. */
export function environmentOf(ancestor: Ancestor): Record<string, string> {
  return { [VARIABLE]: JSON.stringify([...ancestors(), ancestor]) }
}

type Where = Pick<Target, 'directory' | 'server'>

/** Identifies a directory, whatever path leads there; a server's root by its URL. */
export async function identity({
  directory,
  server
}: Where): Promise<{ dev: string; ino: string }> {
  if (server !== undefined) return { dev: 'server', ino: directory }
  const { dev, ino } = await stat(directory, { bigint: true })
  return { dev: String(dev), ino: String(ino) }
}

/** The refusal, if the wait would be for a process that waits for this one. */
export async function deadlock(
  where: Where,
  file: string,
  shared: boolean
): Promise<Failure | undefined> {
  const all = ancestors()
  if (all.length === 0) return undefined
  // A directory that can't be inspected can't be locked either, and that error says more.
  const here = await identity(where).catch(() => undefined)
  for (const ancestor of all) {
    const { dev, ino, mode } = ancestor
    if (dev !== here?.dev || ino !== here.ino || ancestor.file !== file) continue
    if (shared && mode === 'shared') continue
    if (!(await holds(ancestor, where))) continue
    const what = mode === 'shared' ? 'shared by' : 'locked by'
    return misused(
      `${printable(where.directory)} is ${what} the enclosing rootlock run (pid ${ancestor.pid}): it would wait for itself, forever`,
      'Remove the inner run, give it another lock, or make it fail at once with --no-wait'
    )
  }
  return undefined
}

/** The environment may outlive the run that it describes. */
async function holds({ pid, token, mode, file }: Ancestor, where: Where): Promise<boolean> {
  // Of readers the record names only the last one that came.
  if (mode === 'shared' && lives(pid)) return true
  // The record is proof enough: in another PID namespace than ours the pid is nobody's.
  const seen = await diagnose(lockable(where), file).catch(() => undefined)
  return seen !== undefined && seen.state !== 'free' && seen.holder?.token === token
}

function lives(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

/** Ignores anything in the variable that rootlock did not write. */
function ancestors(): Ancestor[] {
  try {
    const told: unknown = JSON.parse(process.env[VARIABLE] ?? '[]')
    return Array.isArray(told) ? told.filter(isAncestor) : []
  } catch {
    return []
  }
}

function isAncestor(told: unknown): told is Ancestor {
  const { dev, ino, file, mode, pid, token } = (told ?? {}) as Record<string, unknown>
  return (
    typeof dev === 'string' &&
    typeof ino === 'string' &&
    typeof file === 'string' &&
    (mode === 'exclusive' || mode === 'shared') &&
    Number.isSafeInteger(pid) &&
    (pid as number) > 0 &&
    Number.isSafeInteger(token)
  )
}
