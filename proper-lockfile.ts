/**
 * proper-lockfile's interface (4.1.2) over rootlock's locks: the same calls, options and error codes, with the wait
 * in the kernel and the heartbeat on a native thread.
 *
 * @packageDocumentation
 */

// It is a package of its own in all but name: it knows nothing but what `rootlock` exports.

import { realpathSync, rmdirSync, statSync } from 'node:fs'
import { basename, dirname, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

import {
  inspect,
  inspectSync,
  LockError,
  tryLock,
  tryLockSync,
  type Holder,
  type LockState,
  type UnlockFunc
} from './index.js'

export type { Holder } from './index.js'

/** Which lock is meant. */
export interface UnlockOptions {
  /**
   * Whether to resolve symbolic links; then the file must exist.
   * @default true
   */
  realpath?: boolean | undefined
  /**
   * The lock file.
   * @default `${file}.lock`
   */
  lockfilePath?: string | undefined
  /** Ignored: the lock is the kernel's, and no other file system has it. */
  fs?: unknown
}

/** Which lock is meant, and when it counts as abandoned. */
export interface CheckOptions extends UnlockOptions {
  /**
   * The age in milliseconds from which a lock counts as abandoned. Minimum: 2000.
   * @default 10_000
   */
  stale?: number | undefined
}

/** How a lock is acquired and held. */
export interface LockOptions extends CheckOptions {
  /**
   * How often, in milliseconds, the lock file's modification time is refreshed. Minimum: 1000; maximum: `stale / 2`.
   * @default stale / 2
   */
  update?: number | undefined
  /**
   * How long to wait for a held lock: for as long as all these retries would take. Nothing is retried.
   * @default 0
   */
  retries?: number | readonly number[] | RetryOptions | undefined
  /** Called when the lock was lost; by default, the error is thrown and becomes an uncaught exception. */
  onCompromised?: ((error: Error) => unknown) | undefined
}

/** The options of the package `retry` that say how long its retries take; others are ignored. */
export interface RetryOptions {
  /** @default 10 */
  retries?: number | undefined
  /** @default 2 */
  factor?: number | undefined
  /** @default 1000 */
  minTimeout?: number | undefined
  /** @default Infinity */
  maxTimeout?: number | undefined
  /** Counts as the longest that it can be: every timeout doubled. */
  randomize?: boolean | undefined
  forever?: boolean | undefined
  /** @default Infinity */
  maxRetryTime?: number | undefined
  unref?: boolean | undefined
}

/** The error with the code `ELOCKED`. */
export interface LockedError extends Error {
  readonly code: 'ELOCKED'
  /** The file, as the call resolved it. */
  readonly file: string
  /** The holder, if it is known. */
  readonly holder?: Holder
}

/** A file and its lock. */
interface Place {
  readonly file: string
  readonly lockfile: string
  readonly stale: number
}

interface Held {
  readonly at: Place
  readonly unlock: UnlockFunc
}

/** The locks of this module that are neither released nor lost. */
const held = new Set<Held>()

/** How often to look at a directory that proper-lockfile made: no kernel tells when it goes. */
const LOOK_MS = 1000

/** The longest timer of Node's, so that `stale: Infinity` is a number of milliseconds, too. */
const MOST_STALE = 2 ** 31 - 1

/** Acquires the lock of a file; resolves with a function that releases it. */
export async function lock(file: string, options: LockOptions = {}): Promise<() => Promise<void>> {
  const at = place(file, options)
  const deadline = performance.now() + retryMs(options.retries)
  for (let mayRemove = true; ;) {
    const timeoutMs = Math.max(deadline - performance.now(), 0)
    try {
      const granted = await tryLock(dirname(at.lockfile), { ...terms(at, options), timeoutMs })
      const release = keep({ at, unlock: granted }, options)
      return async () => release()()
    } catch (error) {
      if (!isDirectory(error)) throw translated(error, at)
      // As proper-lockfile does, remove no more than one in an attempt.
      if (mayRemove && makesWay(at)) {
        mayRemove = false
      } else {
        if (timeoutMs === 0) throw locked(error, at)
        await sleep(Math.min(LOOK_MS, timeoutMs))
        mayRemove = true
      }
    }
  }
}

/** Acquires the lock of a file in one attempt; returns a function that releases it. */
export function lockSync(file: string, options: LockOptions = {}): () => void {
  if (retryMs(options.retries) > 0) throw failure('ESYNC', 'Cannot use retries with the sync api')
  const at = place(file, options)
  for (let mayRemove = true; ; mayRemove = false) {
    try {
      const granted = tryLockSync(dirname(at.lockfile), terms(at, options))
      const release = keep({ at, unlock: granted }, options)
      return () => release().sync()
    } catch (error) {
      if (!isDirectory(error)) throw translated(error, at)
      if (!mayRemove || !makesWay(at)) throw locked(error, at)
    }
  }
}

/** Releases the lock of a file that this module holds. */
export async function unlock(file: string, options: UnlockOptions = {}): Promise<void> {
  await taken(file, options)()
}

/** Releases the lock of a file that this module holds. */
export function unlockSync(file: string, options: UnlockOptions = {}): void {
  taken(file, options).sync()
}

/** Whether a file is locked, by whomever, and the lock is not stale. */
export async function check(file: string, options: CheckOptions = {}): Promise<boolean> {
  const at = place(file, options)
  const known = withoutAsking(at)
  return known ?? isLocked(await inspect(dirname(at.lockfile), view(at)))
}

/** Whether a file is locked, by whomever, and the lock is not stale. */
export function checkSync(file: string, options: CheckOptions = {}): boolean {
  const at = place(file, options)
  return withoutAsking(at) ?? isLocked(inspectSync(dirname(at.lockfile), view(at)))
}

function place(file: string, options: CheckOptions): Place {
  // Without `realpath`, the name counts, as proper-lockfile has it: a lock by another name is another lock.
  const real = options.realpath === false ? resolve(file) : realpathSync.native(file)
  const lockfile = options.lockfilePath ? resolve(options.lockfilePath) : `${real}.lock`
  const stale = Math.min(Math.max(Number(options.stale ?? 10_000) || 0, 2000), MOST_STALE)
  return { file: real, lockfile, stale }
}

const view = (at: Place) => ({ fileName: basename(at.lockfile), staleMs: at.stale })

/** In rootlock's words. A lock is stale after three beats at the least, so it may be promised for longer. */
function terms(at: Place, { update }: LockOptions) {
  const most = at.stale / 2
  const heartbeatMs = Math.max(Math.min(Number(update ?? most) || 0, most), 1000)
  return {
    fileName: basename(at.lockfile),
    heartbeatMs,
    staleMs: Math.max(at.stale, 3 * heartbeatMs)
  }
}

/** How long the retries of the package `retry` would take. */
function retryMs(given: LockOptions['retries']): number {
  if (Array.isArray(given)) return given.reduce((sum, each) => sum + each, 0)
  const options =
    given && typeof given === 'object' ? (given as RetryOptions) : { retries: given || 0 }
  const { retries = 10, factor = 2, minTimeout = 1000, maxTimeout = Infinity } = options
  const { randomize, forever, maxRetryTime = Infinity } = options
  if (forever || retries === Infinity) return maxRetryTime
  let sum = 0
  for (let attempt = 0, last = 1; attempt < retries && last > 0; attempt++) {
    last = Math.min(Math.round((randomize ? 2 : 1) * minTimeout * factor ** attempt), maxTimeout)
    sum += last
  }
  return Math.min(sum > Number.MAX_SAFE_INTEGER ? Infinity : sum, maxRetryTime)
}

/** Remembers a lock until it is lost or released. Returns what a release begins with. */
function keep(own: Held, { onCompromised = raise }: LockOptions): () => UnlockFunc {
  const { signal } = own.unlock
  const lose = () => {
    if (!held.delete(own)) return
    own.unlock().catch(() => {})
    const message = `Lock is compromised: ${signal.reason.message}`
    onCompromised(failure('ECOMPROMISED', message, signal.reason))
  }
  held.add(own)
  if (signal.aborted) queueMicrotask(lose)
  else signal.addEventListener('abort', lose)
  return () => forget(own) ?? raise(failure('ERELEASED', 'Lock is already released'))
}

function forget(own: Held): UnlockFunc | undefined {
  // Asks whether the lock is lost; the event loop may not have told yet.
  return own.unlock.signal.aborted || !held.delete(own) ? undefined : own.unlock
}

/** The same for the lock of a file. */
function taken(file: string, options: UnlockOptions): UnlockFunc {
  const { file: real, lockfile } = place(file, options)
  const found = [...held].findLast(
    ({ at }) => at.file === real && (!options.lockfilePath || at.lockfile === lockfile)
  )
  return (
    (found && forget(found)) ?? raise(failure('ENOTACQUIRED', 'Lock is not acquired/owned by you'))
  )
}

const isLocked = ({ state }: LockState) => state === 'exclusive' || state === 'shared'

/** Whether a lock is held, if there is none, or one of proper-lockfile's. */
function withoutAsking(at: Place): boolean | undefined {
  const found = statSync(at.lockfile, { throwIfNoEntry: false })
  if (!found) return false
  return found.isDirectory() ? !isStale(found, at) : undefined
}

/** A directory in the place of a lock file: proper-lockfile's lock. */
const isDirectory = (error: unknown) =>
  error instanceof LockError && codeOf(error.cause) === 'EISDIR'

const isStale = ({ mtimeMs }: { mtimeMs: number }, { stale }: Place) => mtimeMs < Date.now() - stale

/** Removes proper-lockfile's lock if it is stale. Returns whether there is none any more. */
function makesWay(at: Place): boolean {
  try {
    const found = statSync(at.lockfile)
    if (found.isDirectory() && !isStale(found, at)) return false
    rmdirSync(at.lockfile)
  } catch (error) {
    // ENOTDIR: another one was quicker, and has made the lock file, which this call can't remove.
    if (codeOf(error) !== 'ENOENT' && codeOf(error) !== 'ENOTDIR') throw error
  }
  return true
}

const codeOf = (error: unknown) => (error as NodeJS.ErrnoException | undefined)?.code

function failure(code: string, message: string, cause?: unknown): Error & { code: string } {
  return Object.assign(new Error(message, cause === undefined ? {} : { cause }), { code })
}

function locked(error: unknown, { file, lockfile }: Place): LockedError {
  const { reason, message, holder } = error as LockError
  const why = reason === 'system' ? `by proper-lockfile, whose directory is '${lockfile}'` : message
  const more = { file, ...(holder && { holder }) }
  return Object.assign(
    failure('ELOCKED', `Lock file is already being held: ${why}`, error),
    more
  ) as LockedError
}

/** An error as proper-lockfile throws it: the system's own, unless the lock is held. */
function translated(error: unknown, at: Place): unknown {
  if (!(error instanceof LockError)) return error
  return error.reason === 'system' ? error.cause : locked(error, at)
}

function raise(error: Error): never {
  throw error
}
