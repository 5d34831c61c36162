import type { LockError } from '../index'
import type { Target } from './arguments'
import { DENIED } from '../src/permission-model'
import { printable } from '../src/printable'
import { exits } from './exits'
import { quoted } from './words'

/** Why the command ends, what to do about it, and with which exit code. */
export class Failure extends Error {
  readonly next: string
  readonly exit: number

  constructor(message: string, next: string, exit: number) {
    super(message)
    this.next = next
    this.exit = exit
  }

  override toString(): string {
    return `rootlock: ${this.message}\n  ${this.next}\n`
  }
}

/** What to do if there is no binding. */
export const NO_BINDING = 'See "The binding is not found" in docs/errors.md'

export function misused(message: string, next = 'See: rootlock --help'): Failure {
  return new Failure(printable(message), next, exits.usage)
}

/** Wrong arguments, of the library or of a command line. */
const isMisuse = (error: unknown): error is Error =>
  /^ERR_(INVALID_ARG|OUT_OF_RANGE)/.test((error as NodeJS.ErrnoException).code ?? '')

const isLockError = (error: unknown): error is LockError =>
  error instanceof Error && error.name === 'LockError'

/** The lock is held, or the time limit passed before that was known. */
export function isHeld(error: unknown): error is LockError {
  if (!isLockError(error)) return false
  return error.reason === 'held' || (error.cause as Error | undefined)?.name === 'TimeoutError'
}

/** An error of the library, about a lock. */
export function locking(
  error: unknown,
  { directory, server, words }: Pick<Target, 'directory' | 'server' | 'words'>,
  heldExit: number
): unknown {
  if (isHeld(error)) {
    const next = `Wait longer (--wait SECONDS), or look at the holder: rootlock status ${words}`
    return new Failure(printable(error.message), next, heldExit)
  }
  if (!isLockError(error)) return notOfALock(error)
  const known = server === undefined ? remedy(codeOf(error), directory) : undefined
  return new Failure(printable(error.message), known ?? lookCloser(words), exits.unavailable)
}

/** Wrong usage, or the binding for servers is not installed. */
function notOfALock(error: unknown): unknown {
  if (isMisuse(error)) return misused(error.message)
  if ((error as NodeJS.ErrnoException).code !== 'ERR_DLOPEN_FAILED') return error
  return new Failure((error as Error).message, NO_BINDING, exits.unavailable)
}

/** What has to be allowed, by the name that Node's permission model has for it. */
const ALLOW: Record<string, string> = {
  FileSystemRead: '--allow-fs-read',
  FileSystemWrite: '--allow-fs-write',
  ChildProcess: '--allow-child-process',
  WorkerThreads: '--allow-worker'
}

/** An error of Node's permission model, wherever it comes from. */
export function denied(error: unknown): Failure | undefined {
  const { code, message, permission, resource } = error as NodeJS.ErrnoException & {
    permission?: string
    resource?: string
  }
  if (code !== DENIED) return undefined
  const flag = ALLOW[permission ?? ''] ?? `what permits ${permission}`
  const what = resource ? `${message} (${printable(resource)})` : message
  return new Failure(
    what,
    `Node's permission model is on: start it with ${flag}`,
    exits.unavailable
  )
}

/** An error of naming a file. */
export function naming(error: unknown, path: string): unknown {
  if (!isLockError(error)) return notOfALock(error)
  const next =
    codeOf(error) === 'EISDIR'
      ? `Leave --file out: ${quoted(path)}`
      : (forbidden(codeOf(error)) ??
        'Check the path: the file may be missing, but not its directory')
  return new Failure(printable(error.message), next, exits.unavailable)
}

/** The system's code of an error or of its cause. */
export function codeOf(error: unknown): string | undefined {
  const { code, cause } = error as NodeJS.ErrnoException
  return (cause as NodeJS.ErrnoException | undefined)?.code ?? code
}

const lookCloser = (words: string) => `Find out what is wrong: rootlock doctor ${words}`

/** What to do about an error of the system, if its code suggests something. */
export function remedy(code: string | undefined, directory: string): string | undefined {
  switch (code) {
    case 'ENOENT':
      return `Check the path, or create the directory: mkdir -p ${quoted(directory)}`
    case 'ENOTDIR':
      return `To lock a file: --file ${quoted(directory)}`
    case 'ENOSPC':
      return 'The disk is full: a lock needs room for two small files (df -h, df -i)'
    case 'EDQUOT':
      return 'The quota is used up: a lock needs room for two small files (quota -s)'
    case 'EROFS':
      return 'It is mounted read-only: remount it, or agree on a directory elsewhere to lock'
    case 'EMFILE':
    case 'ENFILE':
      return 'Too many files are open: close some, or raise the limit (ulimit -n)'
  }
  return forbidden(code)
}

/** What to do where Node's permission model forbids to look at a directory. */
export function forbidden(code: string | undefined): string | undefined {
  if (code !== DENIED) return undefined
  return "Node's permission model forbids it: start Node with --allow-fs-read and --allow-fs-write for the directory"
}
