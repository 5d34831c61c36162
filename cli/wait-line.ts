import type { Holder } from '../index'
import { diagnose } from '../src/diagnosis'
import { lockable, type Target } from './arguments'
import { duration, who } from './words'

const EVERY_MS = 1000

/** Clears the line that the cursor is in. */
const CLEAR = '\r\x1b[K'

/** Names the holder that is waited for: once, or on a terminal in a line that also counts the time. */
export class WaitLine {
  readonly #target: Pick<Target, 'directory' | 'server' | 'fileName'>
  readonly #begun = performance.now()
  #holder: Holder | undefined
  #stale = false
  #timer: NodeJS.Timeout | undefined

  constructor(target: Pick<Target, 'directory' | 'server' | 'fileName'>) {
    this.#target = target
  }

  begin(holder: Holder | undefined): void {
    this.#holder = holder
    if (!process.stderr.isTTY) {
      process.stderr.write(`rootlock: waiting for ${this.#whom}\n`)
      return
    }
    this.#draw()
    this.#timer = setInterval(() => void this.#refresh(), EVERY_MS)
  }

  end(): void {
    if (!this.#timer) return
    clearInterval(this.#timer)
    this.#timer = undefined
    process.stderr.write(CLEAR)
  }

  /** The holder may have changed. */
  async #refresh(): Promise<void> {
    try {
      const { holder, state } = await diagnose(lockable(this.#target), this.#target.fileName)
      this.#holder = holder ?? this.#holder
      this.#stale = state === 'stale'
    } catch {
      // If something is wrong, the wait itself reports it.
    }
    if (this.#timer) this.#draw()
  }

  get #whom(): string {
    return this.#holder ? who(this.#holder) : 'another process'
  }

  #draw(): void {
    const silent = this.#stale ? ', which shows no sign of life' : ''
    const waited = duration(performance.now() - this.#begun)
    const columns = process.stderr.columns || 80
    const tail = `${silent}: ${waited}`
    const line = `waiting for ${this.#whom}`.slice(0, Math.max(0, columns - tail.length - 1))
    process.stderr.write(CLEAR + line + tail)
  }
}
