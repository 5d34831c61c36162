import * as check from './arguments'
import { ask, environment } from './environment'
import type { Holder } from './holder'
import { fromBinding, toHolder } from './lock-error'
import { place, type Root } from './root'

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
export async function inspect(
  root: string | URL | Root,
  options?: InspectOptions
): Promise<LockState> {
  const given = check.options(options)
  const fileName = check.fileName(given.fileName) ?? check.defaults.fileName
  const staleMs = check.staleAge(given.staleMs)
  const where = place(root)
  const event = await ask((key) =>
    environment.inspect(key, where.root, where.path, fileName, staleMs)
  )
  if (!event.state) throw fromBinding(event.error!, 'inspect')
  const { state, holder, ageMs } = event.state
  return {
    state,
    ...(holder && { holder: toHolder(holder) }),
    ...(ageMs !== undefined && { ageMs })
  }
}
