import { readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

import { Log } from './log.mjs'

/** The data that the lock protects, as an actor sees it; `undefined` means refused. */
export interface StoreAccess {
  /** A reader's access: from here on no writer with a lower token is served. */
  look(token: number): Promise<number | undefined>
  /** A writer's first access: from here on no lower token is served. */
  read(token: number): Promise<number | undefined>
  /** Writes the number that follows the one it has read. */
  write(token: number, base: number): Promise<number | undefined>
}

export type Request =
  | { do: 'look'; token: number }
  | { do: 'read'; token: number }
  | { do: 'write'; token: number; base: number }

interface Data {
  value: number
  /** The highest token of all, and of those who may write. */
  token: number
  writer: number
}

/**
 * A number in a file, and the highest token seen: this is what a resource must do to be safe
 * from a frozen holder that wakes up. Reads count too, of readers as well, else the late write of an
 * earlier holder could fall between a later one's read and its write, or between two reads of one who
 * shares the lock.
 */
export class Store {
  readonly #path: string
  readonly #log: Log
  #data: Data = { value: 0, token: 0, writer: 0 }
  #watchers: ((by: string) => void)[] = []

  constructor(folder: string) {
    this.#path = join(folder, 'data')
    this.#log = new Log(folder, 'store')
    this.#keep()
  }

  serve(by: string, request: Request): number | undefined {
    this.#data = JSON.parse(readFileSync(this.#path, 'utf8')) as Data
    const { token } = request
    // Readers share the lock with later readers, but with no later writer.
    const newest = request.do === 'look' ? this.#data.writer : this.#data.token
    if (token < newest) {
      this.#log.say({ what: 'turned away', by, token, newest })
      return undefined
    }
    this.#data.token = Math.max(token, this.#data.token)
    if (request.do !== 'look') this.#data.writer = token
    if (request.do === 'write') {
      const { base } = request
      const value = base + 1
      if (base === this.#data.value) this.#log.say({ what: 'write', by, token, value })
      else this.#log.say({ what: 'lost update', by, token, base, value: this.#data.value })
      this.#data.value = value
    } else if (request.do === 'read') {
      this.#log.say({ what: 'read', by, token, value: this.#data.value })
    }
    this.#keep()
    if (request.do === 'read') for (const tell of this.#watchers.splice(0)) tell(by)
    return this.#data.value
  }

  /** Resolves, once, with the next one that begins to work with it: it has the lock and no answer yet. */
  watch(tell: (by: string) => void): void {
    this.#watchers.push(tell)
  }

  close(): void {
    this.#log.close()
  }

  #keep(): void {
    writeFileSync(`${this.#path}.new`, JSON.stringify(this.#data))
    renameSync(`${this.#path}.new`, this.#path)
  }
}
