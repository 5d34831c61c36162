// A teller, a process of its own: acquires the lock, moves some money, releases the lock; again and
// again. This is how a program uses the lock; only what is below `mishap` is staged.

import { once } from 'node:events'
import { setTimeout as pass } from 'node:timers/promises'

import { tryLock, type LockError } from 'rootlock'

import { move, now, read, StaleToken, terms, write } from './bank.mjs'

/** One hold, as its teller reports it. */
export interface Turn {
  teller: string
  token: number
  from: number
  to?: number
  outcome?: 'moved' | 'refused'
  lost?: string
}

const [, , teller, directory] = process.argv as [string, string, string, string]
/** Aborts when it is time to go home: ends every wait and every rest. */
const closing = new AbortController()

async function serve(): Promise<void> {
  tell('waits')
  const unlock = await tryLock(directory, { ...terms, signal: closing.signal })
  const { token, signal } = unlock
  const turn: Turn = { teller, token, from: now() }
  tell('inside', turn)
  try {
    const after = move(read(directory), token, teller)
    // Money is counted by hand here. The lock's signal ends that at once if the lock is lost.
    await pass(2 + Math.random() * 6, undefined, { signal })
    // Good manners: a teller that knows of the loss does not write …
    signal.throwIfAborted()
    // … but one that is frozen right here does not know, …
    await mishap(turn)
    // … so the bank looks at the token.
    write(directory, after)
    turn.outcome = 'moved'
  } catch (error) {
    if (error instanceof StaleToken) {
      turn.outcome = 'refused'
      // The write came first, as it does when a program wakes up in the middle of one. The loss
      // is noticed at the next heartbeat.
      if (!signal.aborted) await once(signal, 'abort')
    } else if (!signal.aborted) throw error
  } finally {
    if (signal.aborted) turn.lost = (signal.reason as LockError).reason!
    turn.to = now()
    // Resolves even if the lock was lost: a lock that is no longer ours is left alone.
    await unlock()
    await tell('rests', turn)
  }
}

/** What main.mts has in store for the next turn. */
let order = ''

/** Befalls a teller at the worst moment: after the read and before the write. */
async function mishap(turn: Turn): Promise<void> {
  const [todo, end] = [order, now() + 1.5 * terms.staleMs]
  order = ''
  if (todo) await tell(todo, turn)
  if (todo === 'holds') await once(process, 'message')
  if (todo === 'blocks') while (now() < end);
}

/** Resolves when the message has been sent, for a teller that is about to block. */
function tell(state: string, turn?: Turn): Promise<void> {
  return new Promise((resolve) => process.send!({ state, turn }, () => resolve()))
}

process.on('message', (message: string) => {
  if (message === 'close') closing.abort()
  else if (message !== 'go on') order = message
})
// Ctrl-C in a terminal reaches the whole group. main.mts decides what becomes of the crew,
process.on('SIGINT', () => {})
// and without it there is nothing to do.
process.on('disconnect', () => process.exit())

try {
  for (;;) {
    await serve()
    await pass(5 + Math.random() * 20, undefined, { signal: closing.signal })
  }
} catch (error) {
  const { aborted, reason } = closing.signal
  // The wait and the rest end with the signal's reason as their cause.
  if (!aborted || (error as Error).cause !== reason) throw error
}
process.disconnect()
