import type { BindingDiagnosis } from './binding'
import { fileName as checkedFileName, defaults } from './arguments'
import { ask } from './environment'
import { lockFile } from './held-lock'
import { toState, type LockState } from './inspect'
import { fromBinding } from './lock-error'
import { printable } from './printable'
import { rootPlace } from './root'
import type { ServerUrl } from './server-url'

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
    ...toState(seen),
    ...more,
    fileSystem: printable(more.fileSystem),
    mountOptions: printable(more.mountOptions)
  }
}
