// A worker thread that acquires the lock and then does what its data says.

import { parentPort, workerData } from 'node:worker_threads'

import { tryLock, tryLockSync } from 'rootlock'

import { open } from './check.mjs'

const { place, next } = workerData as { place: string; next: Next }
const port = parentPort!

/** What it does once it has the lock, or once it waits. */
export type Next = 'stay' | 'spin' | 'end' | 'exit' | 'block'

const spin = () => {
  for (;;);
}

const root = await open(place)
const onWait = () => port.postMessage('waiting')
const unlock =
  next === 'block'
    ? tryLockSync(root, { timeoutMs: Infinity, onWait })
    : await tryLock(root, { onWait })
port.postMessage('held')
switch (next) {
  case 'stay':
    port.on('message', async () => {
      await unlock()
      port.postMessage('unlocked')
    })
    break
  case 'spin':
    port.postMessage('busy')
    // Not before the message has been sent.
    setTimeout(spin, 50)
    break
  case 'exit':
    process.exit(3)
}
