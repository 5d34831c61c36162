import { constants } from 'node:os'
import { getSystemErrorMap, inspect } from 'node:util'

import type { BindingError, BindingHolder, BindingSystemError } from './binding'
import type { Holder } from './holder'
import { isDenied } from './permission-model'
import { printable } from './printable'

/** The values of `LockError.code`; match the code, not the message. */
export type LockErrorCode =
  'ERR_LOCK_UNSUCCESSFUL' | 'ERR_UNLOCK_UNSUCCESSFUL' | 'ERR_LOCK_LOST' | 'ERR_ROOT_CLOSED'

/** What keeps a lock: its errors are worded accordingly. */
export type Engine = 'directory' | 'server'

/** Why a lock was lost. */
export type LostReason = 'hijacked' | 'heartbeat-failed'

/**
 * The reason for an error. For `ERR_LOCK_UNSUCCESSFUL`: the lock is held (`held`), the signal aborted
 * the wait (`aborted`), the call would wait for itself, because it is inside a `withLock` of the same lock or
 * blocks the thread that holds it (`deadlock`), or the system reported an error (`system`). For
 * `ERR_LOCK_LOST`: a `LostReason`.
 */
export type LockErrorReason = 'held' | 'aborted' | 'deadlock' | 'system' | LostReason

/** The error of every lock operation that fails. */
export class LockError extends Error {
  /** What went wrong: match this. */
  readonly code: LockErrorCode
  /** The lock file, or the directory. */
  readonly path: string
  /** The holder, if the lock is held and the holder is known. */
  declare readonly holder?: Holder
  /** Why: match this where the code is not enough. Missing with `ERR_ROOT_CLOSED`, which has only one. */
  declare readonly reason?: LockErrorReason

  /** @internal */
  constructor(
    code: LockErrorCode,
    reason: LockErrorReason | undefined,
    message: string,
    path: string,
    more: { cause?: unknown; holder?: Holder | undefined } = {}
  ) {
    super(message, 'cause' in more ? { cause: more.cause } : undefined)
    this.code = code
    this.path = path
    if (reason) this.reason = reason
    if (more.holder) this.holder = more.holder
  }
}

// On the prototype and not enumerable, as the language's own errors have it.
Object.defineProperty(LockError.prototype, 'name', {
  value: 'LockError',
  writable: true,
  configurable: true
})

/** A wait that was aborted, before or after it began. */
export function aborted(
  path: string,
  signal: AbortSignal,
  error: BindingError | undefined
): LockError {
  const cause: unknown = signal.reason
  if (error?.kind === 'cancelled' || error?.kind === 'held')
    return held('aborted', error, { cause })
  return new LockError(
    'ERR_LOCK_UNSUCCESSFUL',
    'aborted',
    'could not lock store: the wait was aborted',
    path,
    { cause }
  )
}

/** A wait for a lock that is released only after the wait has ended. */
export function deadlock(path: string, blocks: boolean): LockError {
  const whom = blocks
    ? "this thread, or about to be, and it can't release it while this call blocks"
    : 'the withLock around this call, which would wait for itself forever'
  return new LockError('ERR_LOCK_UNSUCCESSFUL', 'deadlock', `store is locked by ${whom}`, path)
}

/** A request whose time limit passed before it was known whether the lock is held. */
export function unanswered(path: string, engine: Engine): LockError {
  const [who, syscall] = engine === 'directory' ? ['file system', 'open'] : ['server', 'connect']
  const message = `ETIMEDOUT: the ${who} has not answered, ${syscall} '${path}'`
  const errno = -constants.errno.ETIMEDOUT
  const cause = Object.assign(new Error(message), {
    code: 'ETIMEDOUT',
    errno,
    syscall,
    path
  })
  return new LockError('ERR_LOCK_UNSUCCESSFUL', 'system', `${attempts.lock}: ${message}`, path, {
    cause
  })
}

const attempts = {
  lock: 'could not lock store',
  unlock: 'could not unlock store',
  inspect: 'could not inspect store',
  open: 'could not open root'
} as const

/** Converts an error of the binding to the one that users see; `attempt` is what they tried. */
export function fromBinding(
  error: BindingError,
  attempt: keyof typeof attempts,
  engine: Engine
): Error {
  switch (error.kind) {
    case 'held':
      return held('held', error, {})
    case 'cancelled':
      return held('aborted', error, {})
    case 'invalid':
      // `arguments.ts` rejects these; if one slips through, it is not an error of a file.
      return Object.assign(new RangeError(error.message), { code: 'ERR_OUT_OF_RANGE' })
    default: {
      const cause = error.system ? systemError(error.system, engine) : notAFile(error)
      const code = attempt === 'unlock' ? 'ERR_UNLOCK_UNSUCCESSFUL' : 'ERR_LOCK_UNSUCCESSFUL'
      const message = `${attempts[attempt]}: ${cause.message}${hint(cause, attempt)}`
      return new LockError(code, 'system', message, error.path, { cause })
    }
  }
}

/** What people lock first is a file, and what a second user meets first are the files of the first. */
function hint(
  { code, syscall, path }: NodeJS.ErrnoException,
  attempt: keyof typeof attempts
): string {
  if (syscall !== 'open') return ''
  if (code === 'ENOTDIR') return `; to lock a file, name it by file(${inspect(path)})`
  if (code === 'EACCES' && attempt === 'inspect') {
    return '; who inspects must be allowed to enter the directory, and to read its lock file'
  }
  if (code === 'EACCES') {
    return '; who locks must be allowed to write in the directory, to its lock file and to its .guard'
  }
  if (code === 'EROFS') return '; it is mounted read-only: lock a directory that can be written to'
  return ''
}

/** A path that is no file's. */
export function noFile(cause: NodeJS.ErrnoException, path: string): LockError {
  const next = isDenied(cause)
    ? `; to resolve its links, start Node with --allow-fs-read for ${inspect(path)} and its directory`
    : ''
  // Some versions of Node end this message as a sentence.
  const message = `${attempts.lock}: ${cause.message.replace(/\.$/, '')}${next}`
  return new LockError('ERR_LOCK_UNSUCCESSFUL', 'system', message, path, { cause })
}

/** The reason of `unlock.signal`. */
export function lost(reason: LostReason, path: string, engine: Engine): LockError {
  const gone =
    engine === 'directory'
      ? 'its file was replaced or removed'
      : 'its session at the server has ended'
  const why =
    reason === 'hijacked'
      ? `${gone}, so another process may hold it`
      : 'its heartbeat has failed for so long that another process may take it over'
  return new LockError('ERR_LOCK_LOST', reason, `lock was lost: ${why}`, path)
}

export function rootClosed(path: string): LockError {
  return new LockError('ERR_ROOT_CLOSED', undefined, 'root is closed', path)
}

/** Converts a holder to the one that users see. Text of other processes is escaped. */
export function toHolder(holder: BindingHolder): Holder {
  const { pid, hostname, command, mode, token } = holder
  const acquiredAt = date(holder.acquiredAt)
  return {
    pid,
    mode,
    ...(hostname !== undefined && { hostname: printable(hostname) }),
    ...(command !== undefined && { command: printable(command) }),
    ...(acquiredAt && { acquiredAt }),
    ...(token !== undefined && { token })
  }
}

/** A `Date`, if it can hold the time. */
function date(ms: number | undefined): Date | undefined {
  const time = new Date(ms ?? NaN)
  return Number.isNaN(time.getTime()) ? undefined : time
}

function held(
  reason: 'held' | 'aborted',
  error: BindingError,
  cause: { cause?: unknown }
): LockError {
  const holder = error.holder && toHolder(error.holder)
  let message = 'store is locked'
  if (holder) {
    const { pid, command, hostname, acquiredAt } = holder
    message += ` by pid ${pid}`
    if (command) message += ` (${command})`
    if (hostname) message += ` on host ${hostname}`
    if (acquiredAt) message += ` since ${acquiredAt.toISOString().replace(/\.\d+Z$/, 'Z')}`
    if (error.holder!.own) message += ', which is this process'
  }
  if (error.refusal) {
    const { errno, code } = error.refusal
    // A refusal of our own, before any system call, has no error code.
    const ours = errno === undefined && code === undefined
    const why = ours ? error.refusal.message : systemError(error.refusal, 'directory').message
    message += `; the lock is stale, but could not be taken over (${why}): look at ${error.refusal.path}`
  }
  return new LockError('ERR_LOCK_UNSUCCESSFUL', reason, message, error.path, { ...cause, holder })
}

/** A system error in Node's own form: `EACCES: permission denied, open '/var/lib/store/.lock'`. */
function systemError(system: BindingSystemError, engine: Engine): NodeJS.ErrnoException {
  const known = getSystemErrorMap()
  // On Windows the system's numbers are not Node's; there the binding gives the name.
  const errno = system.errno ?? [...known].find(([, [name]]) => name === system.code)?.[0]
  const [code = system.code ?? nameOf(errno), words = system.message] =
    (errno !== undefined && known.get(errno)) || []
  // What is wrong with a server is said by it, or by the binding.
  const ownWords = engine === 'server' && system.errno === undefined
  const text = ownWords ? printable(system.message) : words
  const { syscall, path } = system
  const error: NodeJS.ErrnoException = new Error(
    `${code}: ${text}${syscall ? `, ${syscall} '${path}'` : ''}`
  )
  return Object.assign(error, {
    code,
    path,
    ...(errno !== undefined && { errno }),
    ...(syscall && { syscall })
  })
}

/** The name of a number for which Node has no text, such as `ENOLCK` and `ESTALE`. */
function nameOf(errno: number | undefined): string {
  const found = Object.entries(constants.errno).find(([, number]) => number === -errno!)
  return found?.[0] ?? 'UNKNOWN'
}

/** The error for a file that we refuse to open and the system would open. */
function notAFile(error: BindingError): NodeJS.ErrnoException {
  const { path } = error
  const why = error.kind === 'not-a-file' ? 'not a regular file' : error.message
  const text = `${why}, open '${path}'`
  return Object.assign(new Error(`EINVAL: ${text}`), { code: 'EINVAL', syscall: 'open', path })
}
