import { constants } from 'node:os'
import { getSystemErrorMap } from 'node:util'

import type { BindingError, BindingHolder, BindingSystemError } from './binding'
import type { Holder } from './holder'

/** What `LockError.code` can be; match it, not the message. */
export type LockErrorCode =
  'ERR_LOCK_UNSUCCESSFUL' | 'ERR_UNLOCK_UNSUCCESSFUL' | 'ERR_LOCK_LOST' | 'ERR_ROOT_CLOSED'

/** Why a lock that was held is not one any more. */
export type LostReason = 'hijacked' | 'heartbeat-failed'

/** What is behind a code, where the code is not enough. */
export type LockErrorReason = 'held' | 'aborted' | 'deadlock' | 'system' | LostReason

/** Everything that goes wrong with a lock. */
export class LockError extends Error {
  /** What went wrong: match this. */
  readonly code: LockErrorCode
  /** The lock file, or the directory. */
  readonly path: string
  /** Who holds the lock, as far as known; only when somebody does. */
  declare readonly holder?: Holder
  /** Why: match this where the code is not enough. Missing with `ERR_ROOT_CLOSED`, which says it all. */
  declare readonly reason?: LockErrorReason

  /** @internal */
  constructor(
    code: LockErrorCode,
    message: string,
    path: string,
    more: { cause?: unknown; holder?: Holder | undefined; reason?: LockErrorReason } = {}
  ) {
    super(message, 'cause' in more ? { cause: more.cause } : undefined)
    this.code = code
    this.path = path
    if (more.holder) this.holder = more.holder
    if (more.reason) this.reason = more.reason
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
  if (error?.kind === 'cancelled') return held('aborted', error, { cause })
  return new LockError(
    'ERR_LOCK_UNSUCCESSFUL',
    `could not lock store: the wait was aborted`,
    path,
    { cause, reason: 'aborted' }
  )
}

/** An error of the binding, as users see it. */
export function fromBinding(error: BindingError): LockError {
  switch (error.kind) {
    case 'held':
      return held('held', error, {})
    case 'cancelled':
      return held('aborted', error, {})
    default: {
      const cause = error.system ? systemError(error.system) : notAFile(error)
      const release = error.operation === 'release'
      const message = `${release ? 'could not unlock store' : 'could not lock store'}: ${cause.message}`
      const code = release ? 'ERR_UNLOCK_UNSUCCESSFUL' : 'ERR_LOCK_UNSUCCESSFUL'
      return new LockError(code, message, error.path, { cause, reason: 'system' })
    }
  }
}

/** The reason of `unlock.signal`. */
export function lost(reason: LostReason, path: string): LockError {
  const why =
    reason === 'hijacked'
      ? 'its file was replaced or removed, so somebody else may hold it'
      : 'its heartbeat has failed for so long that somebody else may take it'
  return new LockError('ERR_LOCK_LOST', `lock was lost: ${why}`, path, { reason })
}

export function rootClosed(path: string): LockError {
  return new LockError('ERR_ROOT_CLOSED', 'root is closed', path)
}

/** The face's own words for a holder. */
export function toHolder(holder: BindingHolder): Holder {
  const { pid, hostname, command, acquiredAt, mode, token } = holder
  return {
    pid,
    mode,
    ...(hostname !== undefined && { hostname }),
    ...(command !== undefined && { command }),
    ...(acquiredAt !== undefined && { acquiredAt: new Date(acquiredAt) }),
    ...(token !== undefined && { token })
  }
}

function held(reason: LockErrorReason, error: BindingError, cause: { cause?: unknown }): LockError {
  const holder = error.holder && toHolder(error.holder)
  let message = 'store is locked'
  if (holder) {
    const { pid, command, hostname, acquiredAt } = holder
    message += ` by pid ${pid}`
    if (command) message += ` (${command})`
    if (hostname) message += ` on host ${hostname}`
    if (acquiredAt) message += ` since ${acquiredAt.toISOString().replace(/\.\d+Z$/, 'Z')}`
  }
  if (error.refusal) {
    const { message: why } = systemError(error.refusal)
    message += `; the lock is stale, but could not be taken over (${why}): look at ${error.refusal.path}`
  }
  return new LockError('ERR_LOCK_UNSUCCESSFUL', message, error.path, { ...cause, holder, reason })
}

/** Shaped as Node shapes its own: `EACCES: permission denied, open '/var/lib/store/.lock'`. */
function systemError(system: BindingSystemError): NodeJS.ErrnoException {
  const known = getSystemErrorMap()
  // On Windows the system's numbers are not Node's, and the binding tells the name.
  const errno = system.errno ?? [...known].find(([, [name]]) => name === system.code)?.[0]
  const [code = system.code ?? nameOf(errno), text = system.message] =
    (errno !== undefined && known.get(errno)) || []
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

/** Node has no text for what it never meets, such as `ENOLCK` and `ESTALE`, but knows the numbers. */
function nameOf(errno: number | undefined): string {
  const found = Object.entries(constants.errno).find(([, number]) => number === -errno!)
  return found?.[0] ?? 'UNKNOWN'
}

/** The system has no error for this: it would have opened it. */
function notAFile(error: BindingError): NodeJS.ErrnoException {
  const { path } = error
  const text = error.kind === 'not-a-file' ? `not a regular file, open '${path}'` : error.message
  return Object.assign(new Error(`EINVAL: ${text}`), { code: 'EINVAL', syscall: 'open', path })
}
