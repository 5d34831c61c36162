// The other process of the doctor's trial: locks and unlocks on request, and ends with the doctor.

import { once } from 'node:events'

import { openRoot, tryLock, type UnlockFunc } from '../index'
import { isServerUrl } from '../src/arguments'
import { exits } from './exits'
import { codeOf, misused } from './failure'
import { SIGNALS } from './signals'

/** The answer to a request to lock. */
export type Answer = 'locked' | { message: string; code?: string | undefined }

export async function partner([fileName]: string[]): Promise<number> {
  if (!process.send) throw misused('this is for the doctor', 'Ask for: rootlock doctor DIR')
  // Signals to both of them are for the doctor to handle.
  for (const signal of SIGNALS) process.on(signal, () => {})
  // By a message: everybody sees the arguments, and a URL may have a password.
  const [where] = (await once(process, 'message')) as [string]
  let unlock: UnlockFunc | undefined
  const lock = async () => {
    try {
      const root = isServerUrl(where) ? await openRoot(where) : where
      unlock = await tryLock(root, { fileName, wait: false })
      process.send!('locked')
    } catch (error) {
      process.send!({ message: (error as Error).message, code: codeOf(error) })
    }
  }
  process.on('message', (command) => {
    if (command === 'lock') void lock()
    else void unlock?.()
  })
  await once(process, 'disconnect')
  return exits.ok
}
