import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'

import type { Order, Question } from './actor.mjs'
import type { DesignName } from './design.mjs'
import type { Birth } from './life.mjs'
import { now, type Log } from './log.mjs'
import { processOf } from './holds.mjs'
import type { Place, Round } from './plan.mjs'
import type { Clock, Stage } from './stage.mjs'
import type { Store } from './store.mjs'

const ACTOR = fileURLToPath(new URL('actor.mjs', import.meta.url))

/** The processes of a round, each in its place; one that dies is replaced by another. */
export class Cast {
  readonly #members: Member[]
  readonly #store: Store

  constructor(
    round: Round,
    design: DesignName,
    stage: Stage,
    logs: string,
    log: Log,
    store: Store
  ) {
    this.#store = store
    this.#members = round.places.map(({ threads, handle, quick }, place) => {
      const { seed, engine, terms } = round
      const root = stage.rootFor(place)
      const birth = { seed, engine, root, logs, design, handle, quick, threads, terms }
      return new Member(place, birth, log, store, stage.clock)
    })
  }

  /** Does something to the process in a place, or to the one of the next holder. */
  meet(place: Place, what: (member: Member, holder?: string) => void): void {
    if (place !== 'holder') return what(this.#members[place]!)
    this.#store.watch((by) => {
      const holder = this.#members.find(({ who }) => who === processOf(by))
      if (holder) what(holder, by)
    })
  }

  start(): void {
    for (const member of this.#members) member.start()
  }

  /** Lets all processes end by themselves; returns those that do not. */
  async finish(deadline: number): Promise<string[]> {
    const late = await Promise.all(this.#members.map((member) => member.finish(deadline)))
    return late.filter((who) => who !== undefined)
  }
}

/** The process in one place. */
export class Member {
  readonly place: number
  readonly #birth: Omit<Birth, 'who'>
  readonly #log: Log
  readonly #store: Store
  readonly #clock: Clock | undefined
  #generation = 0
  #process: ChildProcess | undefined
  #alive = false
  #frozen = false
  #finished = false
  #crash: string | undefined

  constructor(
    place: number,
    birth: Omit<Birth, 'who'>,
    log: Log,
    store: Store,
    clock: Clock | undefined
  ) {
    this.place = place
    this.#birth = birth
    this.#log = log
    this.#store = store
    this.#clock = clock
  }

  get who(): string {
    return `p${this.place}.${this.#generation}`
  }

  start(): void {
    // Two requests to replace one dead process get one replacement.
    if (this.#finished || this.#alive) return
    this.#alive = true
    this.#generation += 1
    const { who } = this
    const birth = { ...this.#birth, who, ...(this.#clock && { clock: this.#clock.name }) }
    const child = spawn(process.execPath, [ACTOR, JSON.stringify(birth satisfies Birth)], {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
      env: { ...process.env, ...this.#clock?.environment() }
    })
    child.on('message', ({ by, number, request }: Question) => {
      const value = this.#store.serve(by, request)
      // It may have been killed since it asked.
      if (child.connected) child.send({ do: 'answer', number, value } satisfies Order, () => {})
    })
    child.on('error', () => {})
    child.on('exit', (code, signal) => {
      if (signal !== 'SIGKILL' && code !== 0) this.#crash = `${who}: ${signal ?? code}`
    })
    this.#process = child
    this.#frozen = false
  }

  kill(): void {
    const process = this.#process
    if (process === undefined || !this.#alive) return
    this.#alive = false
    this.#log.say({ what: 'kill', target: this.who })
    process.kill('SIGKILL')
  }

  freeze(): void {
    const process = this.#process
    if (process === undefined || !this.#alive || this.#frozen) return
    this.#frozen = true
    this.#log.say({ what: 'freeze', target: this.who })
    process.kill('SIGSTOP')
  }

  thaw(who: string): void {
    if (!this.#alive || !this.#frozen || this.who !== who) return
    this.#process!.kill('SIGCONT')
    this.#frozen = false
    this.#log.say({ what: 'thaw', target: who })
  }

  terminate(thread: number): void {
    this.#tell({ do: 'terminate', thread })
  }

  /** Lets an actor hold what it holds for long. */
  linger(who: string): void {
    this.#tell({ do: 'linger', who })
  }

  async finish(deadline: number): Promise<string | undefined> {
    this.#finished = true
    this.thaw(this.who)
    const begun = now()
    const process = this.#process!
    this.#tell({ do: 'finish' })
    if (!hasEnded(process)) {
      const timer = setTimeout(() => {
        this.#log.say({ what: 'stuck', target: this.who, after: now() - begun })
        process.kill('SIGKILL')
      }, deadline)
      await once(process, 'exit')
      clearTimeout(timer)
    }
    return this.#crash
  }

  #tell(order: Order): void {
    if (this.#process?.connected) this.#process.send(order, () => {})
  }
}

function hasEnded(process: ChildProcess): boolean {
  return process.exitCode !== null || process.signalCode !== null
}
