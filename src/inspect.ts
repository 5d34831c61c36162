import * as check from './arguments'
import type { BindingLockState } from './binding'
import { ask } from './environment'
import type { Holder } from './holder'
import { fromBinding, toHolder } from './lock-error'
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

function toState({ state, holder, ageMs }: BindingLockState): LockState {
  return {
    state,
    ...(holder && { holder: toHolder(holder) }),
    ...(ageMs !== undefined && { ageMs })
  }
}
