// The accounts: one file, replaced as a whole.
//
// A new state is written beside the file and renamed over it, so that whoever is killed leaves the
// old state or the new one, never half of one. The journal is in the same file for that reason:
// money and journal can't disagree.
//
// The fence: the file bears the token of the lock under which it was written, and a write with a
// smaller token is refused. No lock can do that for its store: a holder that was frozen between its
// last look at the lock and its write can't be stopped by anyone else.
//
// With a plain file, the comparison and the rename are two steps, some microseconds apart. A store
// that has more to offer makes them one: `update … where token < $1`, or an object store's If-Match.

import { readFileSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

import type { Transfer } from './messages.mjs'

/** The content of the file. Money is in cents: integers add up. */
export interface State {
  /** The greatest token that has written. */
  readonly token: number
  readonly accounts: readonly number[]
  readonly journal: readonly Transfer[]
}

/** A state that is written, but does not count yet. */
export interface Draft {
  readonly token: number
  readonly path: string
}

/** A write came too late: somebody with a greater token has written since. */
export class LateWrite extends Error {
  readonly token: number
  readonly newest: number

  constructor(token: number, newest: number) {
    super(`a write with token ${token} is refused, the file has ${newest}`)
    this.name = 'LateWrite'
    this.token = token
    this.newest = newest
  }
}

const DRAFT = '.draft'

export class Bank {
  readonly #directory: string
  readonly #path: string

  constructor(directory: string) {
    this.#directory = directory
    this.#path = join(directory, 'bank.json')
  }

  /** Before anybody else is there. */
  found(accounts: readonly number[]): void {
    this.publish(this.draft({ token: 0, accounts, journal: [] }))
  }

  read(): State {
    return JSON.parse(readFileSync(this.#path, 'utf8')) as State
  }

  draft(state: State): Draft {
    const path = `${this.#path}.${state.token}${DRAFT}`
    // No fsync: the demo kills processes, not the machine.
    writeFileSync(path, JSON.stringify(state), { flag: 'wx' })
    return { token: state.token, path }
  }

  publish({ token, path }: Draft): void {
    const newest = this.#newest()
    if (token < newest) {
      rmSync(path)
      throw new LateWrite(token, newest)
    }
    renameSync(path, this.#path)
  }

  /** What was never published. Kept as evidence; a real store would sweep it. */
  drafts(): string[] {
    return readdirSync(this.#directory).filter((name) => name.endsWith(DRAFT))
  }

  #newest(): number {
    try {
      return this.read().token
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return 0
      throw error
    }
  }
}

export const sum = (accounts: readonly number[]): number =>
  accounts.reduce((total, cents) => total + cents, 0)

/** Moves a random amount between two random accounts. */
export function move({ accounts, journal }: State, token: number, teller: string): State {
  const able = accounts.flatMap((cents, account) => (cents > 0 ? [account] : []))
  const from = able[random(able.length)]!
  const to = (from + 1 + random(accounts.length - 1)) % accounts.length
  const cents = 1 + random(Math.min(accounts[from]!, 99_99))
  const transfer = { number: journal.length + 1, token, teller, from, to, cents }
  return { token, accounts: apply(accounts, transfer), journal: [...journal, transfer] }
}

export function apply(accounts: readonly number[], { from, to, cents }: Transfer): number[] {
  const after = [...accounts]
  after[from]! -= cents
  after[to]! += cents
  return after
}

const random = (below: number): number => Math.floor(Math.random() * below)
