import { openSync, readSync, writeFileSync, writeSync } from 'node:fs'
import path from 'node:path'

const name = 'counter'

export function newCounter(root: string): void {
  writeFileSync(path.join(root, name), Buffer.alloc(8))
}

/** A number in a file that is correct only if the lock excludes everybody else while it changes. */
export class Counter {
  readonly #fd: number
  readonly #bytes = new Float64Array(1)
  #increments = 0

  constructor(root: string) {
    this.#fd = openSync(path.join(root, name), 'r+')
  }

  get increments(): number {
    return this.#increments
  }

  read(): number {
    readSync(this.#fd, this.#bytes, 0, 8, 0)
    return this.#bytes[0] as number
  }

  /** Reads, does `between`, writes: the longer that takes, the more likely a second holder is caught. */
  increment(between?: () => void): void {
    const value = this.read()
    between?.()
    this.#bytes[0] = value + 1
    writeSync(this.#fd, this.#bytes, 0, 8, 0)
    this.#increments++
  }
}
