// The bank, and what all its processes share: the accounts are one file, replaced as a whole, so
// that a killed process leaves the old state or the new one, never half of one.

import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** Short terms, so that a takeover can be watched. The defaults are 10 s and 30 s. */
export const terms = { heartbeatMs: 200, staleMs: 2_000 }

/** Milliseconds on a clock that all processes of this machine share and that nobody can set. */
export const now = (): number => Number(process.hrtime.bigint()) / 1e6

/** A movement of money, and the token of the lock under which it was written. */
export type Transfer = { token: number; teller: string; from: number; to: number; cents: number }

/** The content of the file. Money is in cents: integers add up. */
export type State = { token: number; accounts: number[]; journal: Transfer[] }

export class StaleToken extends Error {}

export const pathIn = (directory: string): string => join(directory, 'bank.json')

export function read(directory: string): State {
  return JSON.parse(readFileSync(pathIn(directory), 'utf8')) as State
}

/**
 * The fence: a write with a smaller token than the file's comes too late, and is refused. No lock
 * can do that for its store: nobody else can stop a holder that was frozen between its last check of
 * the lock and its write.
 *
 * With a plain file, the comparison and the rename are two steps, some microseconds apart. A store
 * with more to offer makes them one: `update … where token < $1`, or an object store's If-Match.
 */
export function write(directory: string, state: State): void {
  const draft = join(directory, `${state.token}.draft`)
  // No fsync: the demo kills processes, not the machine.
  writeFileSync(draft, JSON.stringify(state))
  if (read(directory).token > state.token) {
    rmSync(draft)
    throw new StaleToken(`token ${state.token} is behind`)
  }
  renameSync(draft, pathIn(directory))
}

/** Moves a random amount between two random accounts. */
export function move({ accounts, journal }: State, token: number, teller: string): State {
  const from = random(accounts.length)
  const to = (from + 1 + random(accounts.length - 1)) % accounts.length
  const transfer = { token, teller, from, to, cents: random(accounts[from]! + 1) }
  return { token, accounts: apply(accounts, transfer), journal: [...journal, transfer] }
}

export const apply = (accounts: number[], { from, to, cents }: Transfer): number[] =>
  accounts.map(
    (had, account) => had - (account === from ? cents : 0) + (account === to ? cents : 0)
  )

export const sum = (accounts: number[]): number => accounts.reduce((a, b) => a + b, 0)

const random = (below: number): number => Math.floor(Math.random() * below)
