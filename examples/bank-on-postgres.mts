// A bank whose tellers are on different machines: the lock is on a PostgreSQL server, the accounts are in a file that all
// of them reach. One teller is killed while it holds the lock; the others go on, and no cent is missing.
//
//   DATABASE_URL=postgres://user:password@host/database node bank-on-postgres.mjs
//
// In a real bank the accounts would be in the database too, and a transaction would do. This is for what is not there:
// files, another service, a device.

import { fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'

import { openRoot, tryLock } from 'rootlock'

const TELLERS = 3
const TURNS = 20

interface Bank {
  /** Of the lock under which it was written. */
  token: number
  accounts: number[]
}

const read = (file: string) => JSON.parse(readFileSync(file, 'utf8')) as Bank

/** Refuses what comes too late: a teller that was frozen, lost the lock and woke up. Replaces the file as a whole. */
function write(file: string, bank: Bank): void {
  if (read(file).token >= bank.token) throw new Error(`token ${bank.token} is behind`)
  writeFileSync(`${file}.${bank.token}`, JSON.stringify(bank))
  renameSync(`${file}.${bank.token}`, file)
}

/** A teller, in a process of its own. */
async function teller(file: string, dies: boolean): Promise<void> {
  await using root = await openRoot(`${process.env['DATABASE_URL']}?root=bank`)
  for (let turn = 0; turn < TURNS; turn++) {
    await using lock = await tryLock(root)
    const { accounts } = read(file)
    const [from, to] = [turn % accounts.length, (turn + 1) % accounts.length]
    const cents = Math.min(10, accounts[from]!)
    accounts[from]! -= cents
    accounts[to]! += cents
    // Money is counted by hand. If the lock is lost, the signal aborts, and nothing is written.
    await setTimeout(2, undefined, { signal: lock.signal })
    if (dies && turn === TURNS / 2) process.kill(process.pid, 'SIGKILL')
    write(file, { token: lock.token, accounts })
  }
}

async function main(): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'bank-'))
  const file = join(folder, 'bank.json')
  writeFileSync(file, JSON.stringify({ token: 0, accounts: [100, 100, 100] } satisfies Bank))
  const self = fileURLToPath(import.meta.url)
  const tellers = Array.from({ length: TELLERS }, (_, index) =>
    fork(self, [file, index === 0 ? 'dies' : 'lives'])
  )
  const ends = await Promise.all(tellers.map((process) => once(process, 'exit')))
  const { accounts } = read(file)
  console.log(ends.map(([code, signal]) => signal ?? code).join(' '))
  console.log(
    'cents:',
    accounts.reduce((a, b) => a + b)
  )
  rmSync(folder, { recursive: true })
}

const [, , file, fate] = process.argv
await (file === undefined ? main() : teller(file, fate === 'dies'))
