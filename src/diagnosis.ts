import type { BindingLockOwner, BindingDiagnosis } from './binding'
import { fileName as checkedFileName, defaults } from './arguments'
import { ask } from './environment'
import { lockFile } from './held-lock'
import type { LockState } from './inspect'
import { fromBinding, toHolder } from './lock-error'
import { printable } from './printable'
import { rootPlace } from './root'
import type { ServerUrl } from './server-url'

/** A process that holds a lock or waits for it, as reported by the system. */
export type LockOwner = BindingLockOwner

/** Everything that is known of a lock; for the command, not for programs. */
export interface Diagnosis extends Omit<BindingDiagnosis, 'state'>, LockState {
  /** The lock file. */
  readonly path: string
}

export async function diagnose(root: string | ServerUrl, fileName?: string): Promise<Diagnosis> {
  const { environment, path, shown } = rootPlace(root)
  const name = checkedFileName(fileName) ?? defaults.fileName
  const event = await ask((key) => environment.diagnose(key, path, name))
  if (!event.diagnosis) throw fromBinding(event.error!, 'inspect', environment.engine)
  const { state: seen, ...more } = event.diagnosis
  return {
    path: lockFile({ environment, root: shown, fileName: name }),
    state: seen.state,
    ...(seen.holder && { holder: toHolder(seen.holder) }),
    ...(seen.ageMs !== undefined && { ageMs: seen.ageMs }),
    ...more,
    ...(more.holders && { holders: more.holders.map(party) }),
    ...(more.waiters && { waiters: more.waiters.map(party) }),
    fileSystem: printable(more.fileSystem),
    mountOptions: printable(more.mountOptions)
  }
}

/** Escapes a command: any user can choose the name of a program, or of a mount. */
function party({ command, ...more }: LockOwner): LockOwner {
  return { ...more, ...(command !== undefined && { command: printable(command) }) }
}
