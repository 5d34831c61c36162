import type { BindingDiagnosis } from './binding'
import { fileName as checkedFileName, defaults, path as checkedPath } from './arguments'
import { ask, environment } from './environment'
import { toState, type LockState } from './inspect'
import { fromBinding } from './lock-error'
import { absolute, within } from './paths'
import { printable } from './printable'

/** Everything that is known of a lock; for the command, not for programs. */
export interface Diagnosis extends Omit<BindingDiagnosis, 'state'>, LockState {
  /** The lock file. */
  readonly path: string
}

export async function diagnose(path: string, fileName?: string): Promise<Diagnosis> {
  const at = checkedPath('path', path)
  const name = checkedFileName(fileName) ?? defaults.fileName
  const lockFile = within(absolute(at), name)
  const event = await ask((key) => environment.diagnose(key, at, name))
  if (!event.diagnosis) throw fromBinding(event.error!, 'inspect')
  const { state: seen, ...more } = event.diagnosis
  return {
    path: lockFile,
    ...toState(seen),
    ...more,
    fileSystem: printable(more.fileSystem),
    mountOptions: printable(more.mountOptions)
  }
}
