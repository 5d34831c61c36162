// An actor in a worker thread; its host talks to the store for it.

import { parentPort, workerData } from 'node:worker_threads'

import { Cues } from './cues.mjs'
import { live, type Birth } from './life.mjs'
import type { Request } from './store.mjs'

const port = parentPort!
const cues = new Cues()
const asking = new Map<number, (value: number | undefined) => void>()
let questions = 0

function ask(request: Request): Promise<number | undefined> {
  const number = questions++
  return new Promise((resolve) => {
    asking.set(number, resolve)
    port.postMessage({ number, request })
  })
}

port.on(
  'message',
  (message: 'finish' | 'linger' | { number: number; value: number | undefined }) => {
    if (message === 'finish') return cues.finish()
    if (message === 'linger') return cues.linger()
    asking.get(message.number)?.(message.value)
    asking.delete(message.number)
  }
)

const store = {
  look: (token: number) => ask({ do: 'look', token }),
  read: (token: number) => ask({ do: 'read', token }),
  write: (token: number, base: number) => ask({ do: 'write', token, base })
}

await live(workerData as Birth, store, cues)
port.close()
