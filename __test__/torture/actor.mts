// A process of a round: an actor in its main thread, or several in worker threads.

import { once } from 'node:events'
import { Worker } from 'node:worker_threads'

import { Cues } from './cues.mjs'
import { live, type Birth } from './life.mjs'
import { Log } from './log.mjs'
import type { StoreAccess, Request } from './store.mjs'

/** A message from the driver to a process. */
export type Order =
  | { do: 'finish' }
  | { do: 'terminate'; thread: number }
  | { do: 'linger'; who: string }
  | { do: 'answer'; number: number; value: number | undefined }

/** A message from a process to the driver. */
export interface Question {
  by: string
  number: number
  request: Request
}

const birth = JSON.parse(process.argv[2]!) as Birth
const cues = new Cues()

/** Pending requests to the store, by their number. */
const asking = new Map<number, (value: number | undefined) => void>()
let questions = 0

function ask(by: string, request: Request): Promise<number | undefined> {
  const number = questions++
  return new Promise((resolve) => {
    asking.set(number, resolve)
    process.send!({ by, number, request } satisfies Question)
  })
}

const store = (by: string): StoreAccess => ({
  look: (token) => ask(by, { do: 'look', token }),
  read: (token) => ask(by, { do: 'read', token }),
  write: (token, base) => ask(by, { do: 'write', token, base })
})

const threads: { worker: Worker; who: string; ends: Promise<unknown> }[] = []
let generation = 0

function startThread(place: number): void {
  const who = `${birth.who}/w${place}.${++generation}`
  const worker = new Worker(new URL('thread.mjs', import.meta.url), {
    workerData: { ...birth, who } satisfies Birth
  })
  worker.on('message', ({ number, request }: { number: number; request: Request }) => {
    void ask(who, request).then((value) => worker.postMessage({ number, value }))
  })
  worker.on('error', (error) => {
    console.error(who, error)
    process.exit(1)
  })
  const ends = new Promise((resolve) => worker.once('exit', resolve))
  threads[place] = { worker, who, ends }
}

const log = new Log(birth.logs, birth.who, 'host')

process.on('message', (order: Order) => {
  if (order.do === 'answer') {
    asking.get(order.number)?.(order.value)
    asking.delete(order.number)
  } else if (order.do === 'terminate') {
    const thread = threads[order.thread]
    // There may be none yet, or none any more.
    if (thread === undefined || cues.finished.aborted) return
    const { worker, who } = thread
    log.say({ what: 'terminate', target: who })
    void worker.terminate()
    startThread(order.thread)
  } else if (order.do === 'linger') {
    cues.linger()
    threads.find(({ who }) => who === order.who)?.worker.postMessage('linger')
  } else {
    cues.finish()
    for (const { worker } of threads) worker.postMessage('finish')
  }
})
process.on('disconnect', () => process.exit())

const witness = new Worker(new URL('witness.mjs', import.meta.url), { workerData: birth })
// Nothing that happens before the witness looks could be explained.
await once(witness, 'message')

if (cues.finished.aborted) {
  // It started too late to take part.
} else if (birth.threads > 0) {
  for (let place = 0; place < birth.threads; place++) startThread(place)
  await new Promise<void>((resolve) => cues.finished.addEventListener('abort', () => resolve()))
  await Promise.all(threads.map(({ ends }) => ends))
} else {
  await live(birth, store(birth.who), cues)
}
await witness.terminate()
process.disconnect()
