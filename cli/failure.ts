import type { LockError } from '../index'
import { exits } from './exits'

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

export function misused(message: string, next = 'See: rootlock --help'): Failure {
  return new Failure(message, next, exits.usage)
}

const isLockError = (error: unknown): error is LockError =>
  error instanceof Error && error.name === 'LockError'

/** Somebody has the lock, or the time was over before that could be seen. */
export function isHeld(error: unknown): error is LockError {
  if (!isLockError(error)) return false
  const late = error.cause instanceof Error && error.cause.name === 'TimeoutError'
  return late || error.message.startsWith('store is locked')
}

/** An error of the library, about a directory. */
export function locking(error: unknown, directory: string, heldExit: number): unknown {
  if (isHeld(error)) {
    const next = `Wait longer (--wait SECONDS), or see who it is: rootlock status ${directory}`
    return new Failure(error.message, next, heldExit)
  }
  if (!isLockError(error)) return error instanceof RangeError ? misused(error.message) : error
  const { code } = (error.cause ?? {}) as NodeJS.ErrnoException
  return new Failure(error.message, remedy(code, directory), exits.unavailable)
}

function remedy(code: string | undefined, directory: string): string {
  switch (code) {
    case 'ENOENT':
      return `Check the path, or make the directory: mkdir -p ${directory}`
    case 'ENOTDIR':
      return 'A directory is locked, not a file: name the one that the file is in'
    default:
      return `See what is in the way: rootlock doctor ${directory}`
  }
}
