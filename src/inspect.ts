import * as check from './arguments'
import type { BindingLockOwner, BindingLockState } from './binding'
import { ask } from './environment'
import type { Holder } from './holder'
import { fromBinding, toHolder } from './lock-error'
import { printable } from './printable'
import { placeOf, type Lockable } from './root'

/** Which lock to inspect, and how. */
export interface InspectOptions {
  /**
   * The lock file's name in the root.
   * @default '.lock'
   */
  fileName?: string | undefined
  /**
   * The age in milliseconds from which a held lock is reported as stale.
   * @default 30_000
   */
  staleMs?: number | undefined
}

/** The state of a lock at the moment of the call; it may have changed since. */
export interface LockState {
  /**
   * `free`; or held, `exclusive` or `shared`; or held but `stale`: the holder has not refreshed the lock
   * for `staleMs`, or is certainly dead.
   */
  readonly state: 'free' | 'exclusive' | 'shared' | 'stale'
  /** The holder, if it is known; of several readers, the last. */
  readonly holder?: Holder
  /** The age in milliseconds of the lock file's modification time, by the wall clock; missing without a lock file. */
  readonly ageMs?: number
  /** The processes that hold the kernel lock, other programs included; missing where the system does not report them (it does on Linux). */
  readonly holders?: readonly LockOwner[]
  /**
   * The processes that wait for it, in no order; missing where the system does not report them (it does on
   * Linux). Another process appears when it waits for the lock itself: at the latest after a tenth of a
   * second, but not while it lets a writer go first.
   */
  readonly waiters?: readonly LockOwner[]
}

/** A process that holds a lock or waits for it. */
export interface LockOwner {
  /** The process id; on PostgreSQL, that of its session's process at the server, in `pg_stat_activity`. */
  readonly pid: number
  /** How it holds the lock, or wants it; of several callers, the first. */
  readonly mode: 'exclusive' | 'shared'
  /** Its program and its script, if they can be read. Control characters are escaped. */
  readonly command?: string
  /** How many callers of this process wait; missing for other processes. */
  readonly callers?: number
}

/**
 * Inspects a lock without acquiring it. Creates nothing, and needs no permission to write.
 *
 * Where the system does not report how a file is locked, `inspect` tries the lock for a few microseconds.
 * That makes no attempt of this package fail, but an attempt of another program may fail because of it.
 */
export async function inspect(root: Lockable, options?: InspectOptions): Promise<LockState> {
  const { place, staleMs } = read(root, options)
  const event = await ask((key) =>
    place.environment.inspect(key, place.root, place.path, place.fileName, staleMs)
  )
  if (!event.state) throw fromBinding(event.error!, 'inspect', place.environment.engine)
  return toState(event.state)
}

/** Inspects a lock as `inspect` does, and blocks meanwhile: for as long as the file system does. */
export function inspectSync(root: Lockable, options?: InspectOptions): LockState {
  const { place, staleMs } = read(root, options)
  const seen = place.environment.inspectSync(place.root, place.path, place.fileName, staleMs)
  if (!('state' in seen)) throw fromBinding(seen, 'inspect', place.environment.engine)
  return toState(seen)
}

function read(root: unknown, options: InspectOptions | undefined) {
  const given = check.options(options)
  const staleMs = check.staleAge(given.staleMs)
  return { place: placeOf(root, given.fileName), staleMs }
}

export function toState({ state, holder, ageMs, holders, waiters }: BindingLockState): LockState {
  return {
    state,
    ...(holder && { holder: toHolder(holder) }),
    ...(ageMs !== undefined && { ageMs }),
    ...(holders && { holders: holders.map(toOwner) }),
    ...(waiters && { waiters: waiters.map(toOwner) })
  }
}

/** Escapes the command: any user can choose the name of a program. */
function toOwner({ pid, mode, command, callers }: BindingLockOwner): LockOwner {
  return {
    pid,
    mode,
    ...(command !== undefined && { command: printable(command) }),
    ...(callers !== undefined && { callers })
  }
}
