// A directory as the stage of a round: its files are removed, replaced, corrupted and locked by others.

import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import {
  existsSync,
  mkdirSync,
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
import { join } from 'node:path'

import { noClocks, WallClock } from './clock.mjs'
import { Log, now } from './log.mjs'
import { kindsOf, type Climate, type OfLink, type OfStage } from './plan.mjs'
import { Random } from './random.mjs'
import type { SetStage, Stage } from './stage.mjs'

/** Why foreign locks can't be acquired here, if they can't. */
const noFlock =
  spawnSync('flock', ['--version'], { stdio: 'ignore' }).status === 0 ? undefined : 'flock(1)'

/** What a climate needs and this machine lacks. */
export function lacks(climate: Climate): string | undefined {
  if (climate === 'foreign') return noFlock
  return climate === 'clocks' ? noClocks : undefined
}

/** Rounds in a directory, each in one of its own. */
export const inDirectory: SetStage = async (round, folder, logs, log) => {
  const root = join(folder, 'root')
  mkdirSync(root)
  const hasClock = kindsOf(round).includes('step clock') && noClocks === undefined
  return new Directory(root, logs, log, hasClock ? new WallClock(join(folder, 'clock')) : undefined)
}

type Pause = Parameters<Stage['disturb']>[1]

class Directory implements Stage {
  readonly engine = 'directory'
  readonly clock: WallClock | undefined
  readonly #root: string
  readonly #log: Log
  readonly #foreign: Log
  #moved = false
  #holders = 0

  constructor(root: string, logs: string, log: Log, clock: WallClock | undefined) {
    this.#root = root
    this.#log = log
    this.#foreign = new Log(logs, 'flock')
    this.clock = clock
  }

  rootFor(): string {
    return this.#root
  }

  async disturb(what: OfStage | OfLink<number>, pause: Pause): Promise<void> {
    switch (what.kind) {
      case 'flock':
        return this.#lock(what.for, what.shared, pause)
      case 'rename':
        return this.#move(pause)
      case 'step clock':
        if (this.clock === undefined) return
        this.#log.say({ what: 'step clock', by: what.by })
        return this.clock.step(what.by)
      default:
        return this.#vandalise(what)
    }
  }

  async end(): Promise<void> {
    this.#foreign.close()
  }

  #here(name: string): string {
    return `${this.#moved ? `${this.#root}-moved` : this.#root}/${name}`
  }

  #vandalise(what: OfStage | OfLink<number>): void {
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

  async #move(pause: Pause): Promise<void> {
    if (this.#moved) return
    this.#log.say({ what: 'rename' })
    renameSync(this.#root, `${this.#root}-moved`)
    this.#moved = true
    await pause(100)
    this.#log.say({ what: 'rename back' })
    renameSync(`${this.#root}-moved`, this.#root)
    this.#moved = false
  }

  /** A foreign program takes the kernel lock, without any of our rules. */
  async #lock(ms: number, shared: boolean, pause: Pause): Promise<void> {
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
      await pause(ms)
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
