import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import {
  existsSync,
  openSync,
  closeSync,
  readSync,
  renameSync,
  rmSync,
  truncateSync,
  utimesSync,
  writeFileSync,
  writeSync
} from 'node:fs'
import { setTimeout as pause } from 'node:timers/promises'

import type { Cast } from './cast.mjs'
import { noClocks, type WallClock } from './clock.mjs'
import { Log, now } from './log.mjs'
import { CLIMATES, type Climate, type Disturbance } from './plan.mjs'
import { Random } from './random.mjs'

/** Why foreign locks can't be acquired here, if they can't. */
export const noFlock =
  spawnSync('flock', ['--version'], { stdio: 'ignore' }).status === 0 ? undefined : 'flock(1)'

/** Disturbs a round according to its plan. */
export class Disturber {
  readonly #root: string
  readonly #cast: Cast
  readonly #log: Log
  readonly #foreign: Log
  readonly #clock: WallClock | undefined
  readonly #under: Promise<void>[] = []
  readonly #over = new AbortController()
  #moved = false
  #holders = 0

  constructor(root: string, logs: string, cast: Cast, log: Log, clock: WallClock | undefined) {
    this.#root = root
    this.#cast = cast
    this.#log = log
    this.#foreign = new Log(logs, 'flock')
    this.#clock = clock
  }

  /** Carries out one disturbance, and its later part. */
  disturb(what: Disturbance): void {
    this.#under.push(this.#do(what))
  }

  /** Ends everything that still goes on. */
  async end(): Promise<void> {
    this.#over.abort()
    // The last step may begin something more.
    while (this.#under.length > 0) await Promise.all(this.#under.splice(0))
    this.#foreign.close()
  }

  async #do(what: Disturbance): Promise<void> {
    switch (what.kind) {
      case 'kill': {
        return this.#cast.meet(what.place, (member) => {
          member.kill()
          this.#later(what.restart, () => member.start())
        })
      }
      case 'freeze': {
        return this.#cast.meet(what.place, (member) => {
          const { who } = member
          member.freeze()
          this.#later(what.for, () => member.thaw(who))
        })
      }
      case 'terminate':
        return this.#cast.meet(what.place, (member) => member.terminate(what.thread))
      case 'flock':
        return this.#lock(what.for, what.shared)
      case 'rename':
        return this.#move()
      case 'step clock':
        if (this.#clock === undefined) return
        this.#log.say({ what: 'step clock', by: what.by })
        return this.#clock.step(what.by)
      default:
        return this.#vandalise(what)
    }
  }

  /** Does it after a while, or when the round ends. */
  #later(ms: number, what: () => void): void {
    this.#under.push(this.#pause(ms).then(what))
  }

  #pause(ms: number): Promise<void> {
    return pause(ms, undefined, { signal: this.#over.signal }).catch(() => {})
  }

  #here(name: string): string {
    return `${this.#moved ? `${this.#root}-moved` : this.#root}/${name}`
  }

  #vandalise(what: Disturbance): void {
    const file = this.#here('.lock')
    const from = now()
    switch (what.kind) {
      case 'unlink':
        rmSync(file, { force: true })
        return this.#log.say({ what: 'unlink', from })
      case 'replace':
        // Empty: a file with content is never taken over.
        writeFileSync(this.#here('other'), '')
        renameSync(this.#here('other'), file)
        return this.#log.say({ what: 'replace', from })
      case 'truncate':
        if (!existsSync(file)) return
        this.#log.say({ what: 'truncate' })
        return truncateSync(file)
      case 'touch': {
        if (!existsSync(file)) return
        this.#log.say({ what: 'touch', by: what.by })
        const time = Date.now() / 1_000 + what.by
        return utimesSync(file, time, time)
      }
      case 'scribble': {
        const guard = this.#here('.lock.guard')
        if (!existsSync(guard)) return
        this.#log.say({ what: 'scribble' })
        return scribble(guard, what.how)
      }
      default:
        return
    }
  }

  async #move(): Promise<void> {
    if (this.#moved) return
    this.#log.say({ what: 'rename' })
    renameSync(this.#root, `${this.#root}-moved`)
    this.#moved = true
    await this.#pause(100)
    this.#log.say({ what: 'rename back' })
    renameSync(`${this.#root}-moved`, this.#root)
    this.#moved = false
  }

  /** A foreign program takes the kernel lock, without any of our rules. */
  async #lock(ms: number, shared: boolean): Promise<void> {
    const file = this.#here('.lock')
    if (noFlock !== undefined || !existsSync(file)) return
    const id = ++this.#holders
    const mode = shared ? 'shared' : 'exclusive'
    this.#foreign.say({ what: 'ask', id, mode, wait: true })
    const child = spawn('flock', [`--${mode}`, file, 'sh', '-c', 'echo has it; read -r _'], {
      stdio: ['pipe', 'pipe', 'ignore']
    })
    // The directory may just have moved: then it has ended, and hears nothing.
    child.stdin.on('error', () => {})
    const ended = once(child, 'exit')
    if (await says(child)) {
      this.#foreign.say({ what: 'granted', id, token: 0 })
      await this.#pause(ms)
      this.#foreign.say({ what: 'release', id })
    }
    child.stdin.end('\n')
    await ended
  }
}

/** Whether it said something before it ended. */
function says({ stdout }: ChildProcess): Promise<boolean> {
  return new Promise((resolve) => {
    stdout!.once('data', () => resolve(true))
    stdout!.once('end', () => resolve(false))
  })
}

/** Corrupts the ledger in one of the ways in which a file can be corrupted. */
function scribble(guard: string, seed: number): void {
  const random = new Random(seed)
  const bytes = Buffer.from(
    Array.from({ length: random.between(1, 2_000) }, () => random.between(0, 255))
  )
  const file = openSync(guard, 'r+')
  try {
    switch (random.of(['over', 'somewhere', 'cut', 'long', 'empty'])) {
      case 'over':
        // Behind the prefix of every record: a guard without it is somebody else's, and refused.
        for (const slot of [0, 512]) writeSync(file, Buffer.from('rootlock'), 0, 8, slot)
        return void writeSync(file, bytes, 0, Math.min(bytes.length, 504), 8)
      case 'somewhere': {
        // In a record: one byte among zeros, which other damage has left, is somebody else's file too.
        const slot = random.of([0, 512])
        const start = Buffer.alloc(8)
        readSync(file, start, 0, 8, slot)
        if (start.toString('latin1') !== 'rootlock') return
        return void writeSync(file, bytes, 0, 1, slot + random.between(8, 511))
      }
      case 'cut':
        return truncateSync(guard, random.between(0, 1_023))
      case 'long':
        return truncateSync(guard, 2 ** 30)
      default:
        return truncateSync(guard, 0)
    }
  } finally {
    closeSync(file)
  }
}

function lacks(climate: Climate): string | undefined {
  if (climate === 'foreign') return noFlock
  return climate === 'clocks' ? noClocks : undefined
}

/** The climates that this machine supports, and why it does not support the others. */
export function possible(): { climates: Climate[]; lacking: string[] } {
  const all = Object.keys(CLIMATES) as Climate[]
  return {
    climates: all.filter((climate) => lacks(climate) === undefined),
    lacking: all.flatMap((climate) => {
      const lacking = lacks(climate)
      return lacking === undefined ? [] : [`${climate} [needs ${lacking}]`]
    })
  }
}
