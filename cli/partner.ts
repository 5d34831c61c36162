// The other process of the doctor's trial: locks and unlocks on request, and ends with the doctor.

import { once } from 'node:events'

import { tryLock, type UnlockFunc } from '../index'
import { exits } from './exits'
import { codeOf, misused } from './failure'
import { SIGNALS } from './signals'

/** The answer to a request to lock. */
export type Answer = 'locked' | { message: string; code?: string | undefined }

export async function partner([directory, fileName]: string[]): Promise<number> {
  if (!process.send) throw misused('this is for the doctor', 'Ask for: rootlock doctor DIR')
  // Signals to both of them are for the doctor to handle.
  for (const signal of SIGNALS) process.on(signal, () => {})
  let unlock: UnlockFunc | undefined
  const lock = async () => {
    try {
      unlock = await tryLock(directory!, { fileName, wait: false })
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
