// A teller: takes the lock, moves some money, gives the lock back; again and again.

import { once } from 'node:events'
import { setTimeout as pass } from 'node:timers/promises'

import { tryLock, type LockError, type UnlockFunc } from 'rootlock'

import { Bank, LateWrite, move } from './bank.mjs'
import {
  closing,
  desk,
  goHome,
  isClosing,
  logger,
  orderToPublish,
  takeOrder,
  tell
} from './desk.mjs'
import { now, terms } from './messages.mjs'
import { Room } from './room.mjs'

const bank = new Bank(desk.directory)
const room = new Room(desk.directory, desk.name)

async function turn(): Promise<void> {
  const asked = now()
  const unlock = await tryLock(desk.directory, {
    ...terms,
    logger,
    signal: closing,
    onWait: () => void tell({ type: 'waits' })
  })
  const granted = now()
  const { token, signal } = unlock
  try {
    signal.addEventListener('abort', tellOfLoss, { once: true })
    void tell({ type: 'inside', token, asked, granted, met: room.enter() })
    await moveMoney(unlock)
  } catch (error) {
    if (error instanceof LateWrite) {
      void tell({ type: 'refused', token, newest: error.newest })
      // The write came first, as it does when a program wakes up in the middle of one. That the
      // lock is lost is told at the next heartbeat.
      if (!signal.aborted) await once(signal, 'abort')
    } else if (!signal.aborted) throw error
  } finally {
    room.leave()
    const releasing = now()
    // Resolves even if the lock was lost: what is ours is given back, what is not is left alone.
    await unlock()
    void tell({ type: 'left', token, releasing })
  }
}

async function moveMoney({ token, signal }: UnlockFunc): Promise<void> {
  const before = bank.read()
  const after = move(before, token, desk.name)
  // Money is counted by hand here. The lock's signal ends that at once if the lock is lost.
  await pass(2 + Math.random() * 6, undefined, { signal })
  const draft = bank.draft(after)
  // Good manners: who knows that the lock is lost does not write …
  signal.throwIfAborted()
  // … but who is frozen right here does not know, …
  await mishap()
  // … so the bank looks at the token.
  bank.publish(draft)
  void tell({ type: 'moved', transfer: after.journal.at(-1)! })
}

/** Where the director strikes. */
async function mishap(): Promise<void> {
  const order = takeOrder()
  if (order?.do === 'poise') {
    void tell({ type: 'poised' })
    await orderToPublish()
  } else if (order?.do === 'block') {
    await tell({ type: 'blocks' })
    const until = now() + order.ms
    while (now() < until);
  }
}

function tellOfLoss(this: AbortSignal): void {
  const { reason } = this.reason as LockError
  void tell({ type: 'lost', reason: reason ?? 'unknown', at: now() })
}

try {
  for (;;) {
    await turn()
    await pass(5 + Math.random() * 20, undefined, { signal: closing })
  }
} catch (error) {
  if (!isClosing(error)) throw error
}
goHome()
