import { fork, type ChildProcess } from 'node:child_process'
import { fileURLToPath } from 'node:url'

import type { Adapter } from './adapter.js'
import type { Call, Reply } from './worker.js'

const program = fileURLToPath(new URL('./worker.js', import.meta.url))
const alive = new Set<Member>()

/** Thrown when something takes longer than a measure allows. */
export class Capped extends Error {
  constructor(
    readonly ms: number,
    readonly note = ''
  ) {
    super(`> ${ms / 1000} s${note && ` (${note})`}`)
  }
}

/** One worker process that uses one adapter. */
export class Member {
  readonly #process: ChildProcess
  readonly #open = new Map<number, { resolve(value: unknown): void; reject(error: Error): void }>()
  readonly #gone: Promise<void>
  #calls = 0

  constructor(adapter: Adapter) {
    // A process group of its own, so that its children can be counted and killed with it. The memory reducer
    // of V8 would collect garbage 8 s after the last work: 30 ms of CPU that no lock is to blame for.
    this.#process = fork(program, [adapter.name], {
      serialization: 'advanced',
      detached: true,
      execArgv: ['--expose-gc', '--no-memory-reducer']
    })
    alive.add(this)
    this.#process.on('message', (reply: Reply) => {
      const call = this.#open.get(reply.id)
      this.#open.delete(reply.id)
      if ('error' in reply) call?.reject(new Error(reply.error))
      else call?.resolve(reply.value)
    })
    this.#gone = new Promise((resolve) => {
      this.#process.once('exit', (code, signal) => {
        alive.delete(this)
        for (const call of this.#open.values()) {
          call.reject(new Error(`the process ended (${signal ?? `code ${code}`})`))
        }
        resolve()
      })
    })
    this.#process.once('error', () => alive.delete(this))
  }

  get pid(): number {
    return this.#process.pid as number
  }

  /** Runs a job of a measure in the process; `cap` is how long that may take, in ms. */
  async call<T>(measure: string, job: string, argument?: unknown, cap = 60_000): Promise<T> {
    const id = this.#calls++
    let timer: NodeJS.Timeout | undefined
    const answer = new Promise<T>((resolve, reject) => {
      this.#open.set(id, { resolve: resolve as (value: unknown) => void, reject })
      timer = setTimeout(() => reject(new Capped(cap)), cap)
      this.#process.send(
        { id, measure, job, argument } satisfies Call,
        (error) => error && reject(error)
      )
    })
    return answer.finally(() => {
      clearTimeout(timer)
      this.#open.delete(id)
    })
  }

  /** Kills the process alone, as a crash would. */
  crash(): void {
    process.kill(this.pid, 'SIGKILL')
  }

  /** Kills the process and everything that it started. */
  async end(): Promise<void> {
    this.kill()
    await this.#gone
  }

  kill(): void {
    try {
      process.kill(-this.pid, 'SIGKILL')
    } catch {
      // Gone already.
    }
  }
}

export function killAll(): void {
  for (const member of alive) member.kill()
}

/** Starts `size` processes, waits until all have loaded the adapter, passes them to `work`, and ends them. */
export async function withCrew<T>(
  adapter: Adapter,
  size: number,
  use: (crew: readonly Member[]) => Promise<T>
): Promise<T> {
  const crew = Array.from({ length: size }, () => new Member(adapter))
  try {
    await Promise.all(crew.map((member) => member.call('', 'ready')))
    return await use(crew)
  } finally {
    await Promise.all(crew.map((member) => member.end()))
  }
}
