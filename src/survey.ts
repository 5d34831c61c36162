import type { BindingParty, BindingSurvey } from './binding'
import { fileName as checkedFileName, defaults, path as checkedPath } from './arguments'
import { ask, environment } from './environment'
import type { LockState } from './inspect'
import { fromBinding, toHolder } from './lock-error'
import { within } from './paths'
import { printable } from './printable'

/** A process that has or wants a lock, as the system tells. */
export type Party = BindingParty

/** All that can be seen of a lock; for the command, not for programs. */
export interface Survey extends Omit<BindingSurvey, 'state'>, LockState {
  /** The lock file. */
  readonly path: string
}

export async function survey(path: string, fileName?: string): Promise<Survey> {
  const at = checkedPath('path', path)
  const name = checkedFileName(fileName) ?? defaults.fileName
  const event = await ask((key) => environment.survey(key, at, name))
  if (!event.survey) throw fromBinding(event.error!, 'inspect')
  const { state: seen, ...more } = event.survey
  return {
    path: within(at, name),
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

/** Whoever mounts a file system or starts a program chooses its name. */
function party({ command, ...more }: Party): Party {
  return { ...more, ...(command !== undefined && { command: printable(command) }) }
}
