// `npm start`: tellers, each a process, move money between the accounts in one file, under the lock
// of the file's directory. One is killed inside, one is frozen and preempted, one is just busy.
// Exits 0 only if all of that happened and every cent is where it belongs.
//
// Read teller.mts first, then bank.mts. This is the director: it stages the mishaps, looks at the
// lock as any third party may, and checks what came of it.

import { fork } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pass } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { isDeepStrictEqual } from 'node:util'

import { inspect, withLock } from 'rootlock'

import { apply, now, pathIn, read, sum, terms } from './bank.mjs'
import type { Turn } from './teller.mjs'
import { paint, show } from './view.mjs'

const START = [250_000, 125_050, 99_999, 60_001, 180_000, 34_950, 240_000, 10_000]
const directory = mkdtempSync(join(tmpdir(), 'rootlock-demo-'))
/** Every hold, by its token. */
const turns = new Map<number, Turn>()
/** The end of the holds whose tellers could not report it: the killed one's, and the frozen one's lease. */
const ends = new Map<number, number>()
const audits: number[] = []
/** The claims, and whether they hold. */
const claims: [so: boolean, text: string][] = []
const closing = new AbortController()
let trouble: unknown

// However this ends, nothing is left behind: not even the stopped process.
process.on('exit', () => {
  for (const { child } of crew) child.kill('SIGKILL')
  sweep(50)
})
process.on('SIGINT', () => process.exit(130))
process.on('SIGTERM', () => process.exit(143))
process.on('SIGHUP', () => process.exit(129))
process.stdout.on('error', () => process.exit(1))

/** Retries, because a process that dies may be in the middle of creating a file. */
function sweep(tries: number): void {
  try {
    rmSync(directory, { recursive: true, force: true, maxRetries: 1 })
  } catch (error) {
    if (tries === 1) throw error
    sweep(tries - 1)
  }
}

writeFileSync(pathIn(directory), JSON.stringify({ token: 0, accounts: START, journal: [] }))
type Teller = ReturnType<typeof hire>
const crew = ['Ada', 'Bob', 'Cleo', 'Dora'].map(hire)
const [, bob, cleo, dora] = crew as [Teller, Teller, Teller, Teller]

function hire(name: string) {
  const child = fork(fileURLToPath(new URL('teller.mjs', import.meta.url)), [name, directory])
  const teller = { name, child, state: 'starts', token: 0, done: 0 }
  child.on('message', ({ state, turn }: { state: string; turn?: Turn }) => {
    teller.state = state
    if (!turn) return
    turns.set(turn.token, turn)
    teller.token = turn.token
    if (turn.outcome === 'moved') teller.done += 1
  })
  child.once('exit', (code, signal) => {
    if (code === 0) teller.state = 'is home'
    else if (!isGone(teller)) trouble ??= new Error(`${name} ended by itself: ${code ?? signal}`)
  })
  return teller
}

/** Readers share the lock, and exclude writers. `withLock` unlocks whatever happens. */
async function audit(): Promise<void> {
  while (!closing.signal.aborted) {
    const count = () => sum(read(directory).accounts)
    audits.push(await withLock(directory, count, { ...terms, shared: true }))
    await pass(200)
  }
}

/** Inspects the lock, as any third party may: this acquires nothing and disturbs nobody. */
async function watch(): Promise<void> {
  while (!closing.signal.aborted) {
    const { state, holder, ageMs = 0 } = await inspect(directory, terms)
    const who = crew.find(({ child }) => child.pid === holder?.pid)?.name ?? 'the auditor'
    const held = `: ${who} has it, and gave a sign of life ${ms(ageMs)} ago`
    show('', ['', ...crew.map(row), ` the lock is ${state}${state === 'free' ? '' : held}`])
    await pass(100)
  }
}

function row({ name, child, state, done, token }: Teller): string {
  const colour = /[A-Z]/.test(state) ? 'cyan' : /inside|holds|blocks/.test(state) ? 'green' : 'dim'
  const numbers = `pid ${child.pid} ${String(done).padStart(4)} transfers  token ${token}`
  return ` ${name.padEnd(4)}  ${numbers}  ${paint(colour, state)}`
}

/** Waits for a condition, never for a time: on a busy machine everything takes longer. */
type Perhaps<T> = T | false | undefined
async function until<T>(what: string, look: () => Perhaps<T> | Promise<Perhaps<T>>): Promise<T> {
  for (const deadline = now() + 30_000; now() < deadline; await pass(5)) {
    const seen = await look()
    if (trouble) throw trouble
    if (seen) return seen
  }
  throw new Error(`waited 30 s in vain for this: ${what}`)
}

/** Time for the viewer: at least a second, and at least five turns. */
async function businessAsUsual(): Promise<void> {
  const [before, start] = [turns.size, now()]
  await until('business as usual', () => turns.size >= before + 5 && now() > start + 1_000)
}

/** Stages a teller's mishap under the lock, and waits until it happens. */
async function strike(teller: Teller, mishap: 'holds' | 'blocks'): Promise<Turn> {
  teller.child.send(mishap)
  await until(`${teller.name} ${mishap}`, () => teller.state === mishap)
  return turns.get(teller.token)!
}

const inOrder = (): Turn[] => [...turns.values()].toSorted((a, b) => a.token - b.token)
const after = (token: number) => inOrder().find((turn) => turn.token > token)
const left = (token: number) => [turns.get(token)!].find(({ to }) => to)
const end = ({ token, to = Infinity }: Turn): number => ends.get(token) ?? to
const isGone = ({ state }: Teller) => /home|KILLED/.test(state)
const claim = (so: boolean, text: string) => claims.push([so, text])
const ms = (time: number): string => `${time.toFixed(time < 10 ? 1 : 0)} ms`

async function story(): Promise<void> {
  show(`${crew.length} tellers come to work, each a process`)
  await until('everybody has worked', () => crew.every(({ done }) => done > 0))
  await businessAsUsual()
  await kill()
  await businessAsUsual()
  // Windows has no way to stop a process from outside.
  if (process.platform === 'win32') show('Nobody is frozen: Windows cannot stop a process')
  else await freeze()
  await block()
  await businessAsUsual()
  for (const { child } of crew) if (child.connected) child.send('close')
  await until('everybody is gone', () =>
    crew.every((teller) => !teller.child.connected && isGone(teller))
  )
}

async function kill(): Promise<void> {
  const turn = await strike(cleo, 'holds')
  ends.set(turn.token, now())
  cleo.child.kill('SIGKILL')
  cleo.state = 'was KILLED'
  show('Cleo is killed inside, about to write (SIGKILL)')
  const next = await until('somebody is let in', () => after(turn.token))
  const free = next.from - end(turn)
  show(`${next.teller} is let in ${ms(free)} later: the kernel freed the lock`)
  claim(
    free >= 0 && free < terms.staleMs,
    `Cleo was killed inside: ${next.teller} was let in ${ms(free)} later`
  )
}

async function freeze(): Promise<void> {
  const { token } = await strike(bob, 'holds')
  // During a heartbeat, which takes some microseconds, nobody may be preempted: a process stopped just then
  // keeps the lock until it wakes up. That is rare, and not this story.
  const lastBeat = await until('a heartbeat is over', async () => {
    const [at, { ageMs = 0 }] = [now(), await inspect(directory, terms)]
    return ageMs > terms.heartbeatMs * 0.2 && ageMs < terms.heartbeatMs * 0.5 && at - ageMs
  })
  bob.child.kill('SIGSTOP')
  bob.state = 'is FROZEN'
  ends.set(token, lastBeat + terms.staleMs)
  show('Bob is frozen inside, about to write (SIGSTOP)')
  const next = await until('somebody takes over', () => after(token))
  show(`${next.teller} takes over ${ms(next.from - lastBeat)} after the last heartbeat`)
  // The others work on what it has read, so that its late write would undo theirs.
  await businessAsUsual()
  bob.child.send('go on')
  bob.child.kill('SIGCONT')
  const { outcome, lost } = await until('Bob is out', () => left(token))
  show(`Bob wakes up and writes (SIGCONT): ${outcome}; unlock.signal tells it: ${lost}`)
  const { done } = bob
  await until('Bob works again', () => bob.done > done)
  claim(outcome === 'refused', 'Bob was frozen inside and preempted: its late write was refused')
  claim(lost === 'hijacked', '… unlock.signal told it, unlock() resolved, and it went on')
}

async function block(): Promise<void> {
  const { token } = await strike(dora, 'blocks')
  show('Dora blocks its event loop inside, for longer than staleMs')
  const { from, to, outcome, lost } = await until('Dora is out', () => left(token))
  show('It kept its lock all the time: the heartbeat runs on a native thread')
  const kept = to! - from > terms.staleMs && outcome === 'moved' && !lost
  claim(kept, `Dora blocked its event loop inside for ${ms(to! - from)}, and kept its lock`)
}

/** Checks the file, the tellers' reports and the clock, which are independent of each other. */
function check(): void {
  const { accounts, journal } = read(directory)
  const all = inOrder()
  const apart = all.every((turn, i) => i === 0 || turn.from >= end(all[i - 1]!))
  const written = journal.map(({ token }) => token)
  const moved = all.filter(({ outcome }) => outcome === 'moved').map(({ token }) => token)
  const byTime = all.toSorted((a, b) => a.from - b.from)
  const right = [...audits, sum(accounts)].every((cents) => cents === sum(START))
  const replayed = journal.reduce(apply, START)
  claim(
    right && audits.length > 0,
    `every cent is there, as in each of ${audits.length} audits meanwhile`
  )
  claim(isDeepStrictEqual(accounts, replayed), 'each account is its start plus its transfers')
  claim(isDeepStrictEqual(written, moved), `${moved.length} transfers, none missing or twice`)
  claim(apart, `${all.length} times somebody was inside, and never two together`)
  claim(isDeepStrictEqual(byTime, all), 'each had a greater token than all before it')
  claim(!all.some(({ lost, token }) => lost && !ends.has(token)), 'nobody else lost the lock')
}

const background = Promise.all([audit(), watch()]).catch((error: unknown) => (trouble ??= error))
try {
  await story()
  check()
} catch (error) {
  claim(false, `the story came to its end, but ${(error as Error).message}`)
  for (const { child } of crew) child.kill('SIGKILL')
}
closing.abort()
await background
show('', ['', ...crew.map(row), ''])
for (const [so, text] of claims)
  console.log(so ? paint('green', `✔ ${text}`) : paint('red', `✘ ${text}`))
process.exitCode = claims.every(([so]) => so) ? 0 : 1
