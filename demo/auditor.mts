// The auditor: a reader. Adds the accounts up while the tellers work.

import { setTimeout as pass } from 'node:timers/promises'

import { tryRLock } from 'rootlock'

import { Bank, sum } from './bank.mjs'
import { closing, desk, goHome, isClosing, logger, tell } from './desk.mjs'
import { now, terms } from './messages.mjs'
import { Room } from './room.mjs'

const bank = new Bank(desk.directory)
const room = new Room(desk.directory, desk.name)

async function audit(): Promise<void> {
  const asked = now()
  // Unlocked by the language at the end of the block, as `finally` would.
  await using lock = await tryRLock(desk.directory, {
    ...terms,
    logger,
    signal: closing,
    onWait: () => void tell({ type: 'waits' })
  })
  const granted = now()
  const { token } = lock
  void tell({ type: 'inside', token, asked, granted, met: room.enter() })
  void tell({ type: 'audited', sum: sum(bank.read().accounts) })
  room.leave()
  void tell({ type: 'left', token, releasing: now() })
}

try {
  for (;;) {
    await audit()
    await pass(250, undefined, { signal: closing })
  }
} catch (error) {
  if (!isClosing(error)) throw error
}
goHome()
