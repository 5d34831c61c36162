// An independent witness that the lock excludes: whoever is let in leaves a mark in a directory and
// looks who else has one. It knows nothing of the lock and its files. Marking comes before looking,
// so of two that are in there together at least one sees the other.

import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

export class Room {
  readonly #path: string
  readonly #name: string

  constructor(directory: string, name: string) {
    this.#path = join(directory, 'inside')
    this.#name = name
    mkdirSync(this.#path, { recursive: true })
  }

  /**
   * @returns whom it met. The director knows whom it has killed or frozen in there; anybody else
   * is a violation. Their mark is wiped, so that it is found once.
   */
  enter(): string[] {
    writeFileSync(join(this.#path, this.#name), '')
    const others = readdirSync(this.#path).filter((name) => name !== this.#name)
    for (const name of others) this.#wipe(name)
    return others
  }

  leave(): void {
    this.#wipe(this.#name)
  }

  #wipe(name: string): void {
    rmSync(join(this.#path, name), { force: true })
  }
}
