import { Worker } from 'node:worker_threads'

import type { ExecutionContext } from 'ava'

import { fixture } from './child.mjs'
import { inTime } from './eventually.mjs'
import { Messages } from './messages.mjs'

/** What `fixtures/worker.mts` does once it has the lock. */
export interface Task {
  root: string
  shared?: boolean
  next?: string
}

/** A running worker thread. It is terminated when the test ends. */
export class WorkerThread {
  readonly #worker: Worker
  readonly #messages = new Messages<{ kind: string }>()
  readonly #exit: Promise<number>

  constructor(task: Task) {
    this.#worker = new Worker(fixture('worker'), { workerData: task })
    this.#worker.on('message', (kind: string) => this.#messages.push({ kind }))
    let error: Error | undefined
    this.#worker.on('error', (thrown) => (error = thrown))
    this.#exit = new Promise((resolve) => {
      this.#worker.on('exit', (code) => {
        this.#messages.end(String(error ?? code))
        resolve(code)
      })
    })
  }

  async says(what: string): Promise<void> {
    await this.#messages.next(what)
  }

  hasSaid(what: string): boolean {
    return this.#messages.has(what)
  }

  tell(what: string): void {
    this.#worker.postMessage(what)
  }

  ends(): Promise<number> {
    return inTime('the worker ends', this.#exit)
  }

  async terminate(): Promise<void> {
    await inTime('the worker is terminated', this.#worker.terminate())
  }
}

export function worker(t: ExecutionContext, task: Task): WorkerThread {
  const started = new WorkerThread(task)
  t.teardown(() => started.terminate())
  return started
}
