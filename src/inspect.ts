import * as check from './arguments'
import { ask, environment } from './environment'
import type { Holder } from './holder'
import { fromBinding, toHolder } from './lock-error'
import { place, type Root } from './root'

/** What to look at. */
export interface InspectOptions {
  /**
   * Name of the lock file in the root.
   * @default '.lock'
   */
  fileName?: string | undefined
  /**
   * Age in milliseconds from which a held lock is called stale.
   * @default 30_000
   */
  staleMs?: number | undefined
}

/** What a look at a lock found. By the time it is read, it may be otherwise. */
export interface LockState {
  /**
   * `free`; held, `exclusive` or `shared`; or held, but `stale`: its holder has not refreshed it
   * for `staleMs`, or is certainly dead.
   */
  readonly state: 'free' | 'exclusive' | 'shared' | 'stale'
  /** Who holds it, as far as known; of several readers, the last. */
  readonly holder?: Holder
  /** Age in milliseconds of the lock file's modification time by the wall clock; missing without a lock file. */
  readonly ageMs?: number
}

/**
 * Looks at a lock without taking it. Creates nothing, and needs no permission to write.
 *
 * Where the system does not tell how a file is locked, the lock is tried for some microseconds; no
 * attempt of this package fails because of that, one of another program may.
 */
export async function inspect(
  root: string | URL | Root,
  options?: InspectOptions
): Promise<LockState> {
  const given = check.options(options)
  const fileName = check.fileName(given.fileName) ?? check.defaults.fileName
  const staleMs = check.staleAge(given.staleMs)
  const where = place(root)
  const event = await ask((key) => environment.inspect(key, where, fileName, staleMs))
  if (!event.state) throw fromBinding(event.error!, 'inspect')
  const { state, holder, ageMs } = event.state
  return {
    state,
    ...(holder && { holder: toHolder(holder) }),
    ...(ageMs !== undefined && { ageMs })
  }
}
