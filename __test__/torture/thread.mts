// An actor in a worker thread; its host talks to the store for it.

import { parentPort, workerData } from 'node:worker_threads'

import { live, type Birth } from './life.mjs'
import type { Request } from './store.mjs'

const port = parentPort!
const finishing = new AbortController()
const asking = new Map<number, (value: number | undefined) => void>()
let questions = 0

function ask(request: Request): Promise<number | undefined> {
  const number = questions++
  return new Promise((resolve) => {
    asking.set(number, resolve)
    port.postMessage({ number, request })
  })
}

port.on('message', (message: 'finish' | { number: number; value: number | undefined }) => {
  if (message === 'finish') return finishing.abort()
  asking.get(message.number)?.(message.value)
  asking.delete(message.number)
})

const store = {
  look: (token: number) => ask({ do: 'look', token }),
  read: (token: number) => ask({ do: 'read', token }),
  write: (token: number, base: number) => ask({ do: 'write', token, base })
}

await live(workerData as Birth, store, finishing.signal)
port.close()
