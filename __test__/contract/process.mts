import { spawn, type ChildProcess } from 'node:child_process'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

import { inTime } from '../helpers/eventually.mjs'
import type { Part, Said } from './actor.mjs'
import { runtime, type Later } from './check.mjs'

/** Runs a script in this runtime. */
export const self = [process.execPath, ...(runtime === 'deno' ? ['run', '--allow-all'] : [])]

/** Runs a script in another runtime, where the caller knows one. */
export const other = process.env['ROOTLOCK_OTHER_RUNTIME']
  ? (JSON.parse(process.env['ROOTLOCK_OTHER_RUNTIME']) as string[])
  : undefined

/** A process that wants the lock. */
export class Actor {
  readonly #process: ChildProcess
  readonly #said: Said[] = []
  readonly #exit: Promise<number | null>
  #news = () => {}
  #over = false

  constructor(later: Later, part: Part, by = self) {
    const script = fileURLToPath(new URL('actor.mjs', import.meta.url))
    const line = [...by, script, JSON.stringify(part)]
    this.#process = spawn(line[0]!, line.slice(1), { stdio: ['pipe', 'pipe', 'inherit'] })
    this.#process.stdin!.on('error', () => {})
    createInterface({ input: this.#process.stdout! }).on('line', (text) => {
      this.#said.push(JSON.parse(text) as Said)
      this.#news()
    })
    this.#exit = new Promise((resolve) => {
      this.#process.on('close', (code) => {
        this.#over = true
        this.#news()
        resolve(code)
      })
    })
    later(async () => {
      if (!this.#over) this.kill()
      await this.#exit
    })
  }

  get pid(): number {
    return this.#process.pid!
  }

  tell(word: 'unlock' | 'unlock soon' | 'exit' | 'leave'): void {
    this.#process.stdin!.write(`${word}\n`)
  }

  /** What it says of a kind; fails when something else comes before. */
  async says(kind: Said['kind']): Promise<Said> {
    await inTime(
      `it says ${kind}`,
      new Promise<void>((resolve) => {
        this.#news = () => (this.#said.length > 0 || this.#over) && resolve()
        this.#news()
      })
    )
    const said = this.#said.shift()
    if (said?.kind !== kind) {
      throw new Error(`it should say ${kind}, but ${said ? JSON.stringify(said) : 'ended'}`)
    }
    return said
  }

  kill(signal: NodeJS.Signals = 'SIGKILL'): void {
    // By its pid: Deno thinks that a child that was sent one signal has ended.
    try {
      process.kill(this.pid, signal)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
    }
  }

  ends(): Promise<number | null> {
    return inTime('it ends', this.#exit)
  }
}
