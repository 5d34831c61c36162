// The process that holds the lock of a `rootlock run` until the work is over.
//
// Why not the run itself: the lock must outlive the process that started the command. A SIGKILL ends the
// run but not the command; a SIGTERM ends the command but not its children. flock(1) passes its locked
// descriptor down, and the kernel keeps the lock as long as any process has it; but then nobody would
// refresh the lock, and a lock without a heartbeat, whose holder is dead, is rightly taken over. So the
// descriptor that is passed down is one end of a socket, the line, whose other end is here: it closes when
// the last process that has it ends or closes it, and the lock is released. No process has to be searched
// for or waited for.

import { once } from 'node:events'
import { closeSync, openSync } from 'node:fs'
import { Socket } from 'node:net'

import { openRoot, tryLock, tryRLock, type LockError, type UnlockFunc } from '../index'
import { defaults } from '../src/arguments'
import { printable } from '../src/printable'
import { deadlock, identity } from './ancestors'
import { exits } from './exits'
import { isHeld, locking, misused } from './failure'
import { LINE, type FromKeeper, type Terms, type ToKeeper } from './keeper-words'
import { arrived, SIGNALS } from './signals'
import { WaitLine } from './wait-line'

/** How long a signal to the group takes to reach all of its processes. */
const DELIVERED_MS = 5

/** Children that end within this time after the command count as ended with it. */
const STRAGGLERS_MS = 100

export async function keeper([directory]: string[]): Promise<number> {
  if (!process.send || !directory) {
    throw misused('only run uses this verb', 'Use: rootlock run DIR -- COMMAND…')
  }
  // Only the end of the work ends the keeper; it reports signals to the run, which knows what to do.
  for (const signal of SIGNALS) process.on(signal, () => say({ kind: 'signal', signal }))
  const [terms] = (await once(process, 'message')) as [Terms]
  const line = new Socket({ fd: LINE, readable: true, writable: false })
  const wait = new AbortController()
  let over = false
  const ended = new Promise<void>((resolve) => {
    line.on('close', () => {
      over = true
      wait.abort()
      resolve()
    })
  })
  // An error ends the line as well; data that somebody writes into it by mistake is discarded.
  line.on('error', () => {}).resume()
  process.on('disconnect', alone)
  process.on('message', (message: ToKeeper) => {
    if (message.kind === 'tell') return void arrived(DELIVERED_MS).then(() => say({ kind: 'told' }))
    if (terms.inherited) void arrived(STRAGGLERS_MS).then(() => over || say({ kind: 'kept' }))
  })
  try {
    return await keep(terms, ended, wait)
  } finally {
    line.destroy()
    process.off('disconnect', alone)
    if (process.connected) process.disconnect()
  }
}

async function keep(terms: Terms, ended: Promise<void>, wait: AbortController): Promise<number> {
  let unlock: UnlockFunc
  try {
    unlock = await lock(terms, wait)
  } catch (error) {
    if (terms.quiet && isHeld(error)) return terms.heldExit
    // The run has let go of the lock, or is gone.
    if (wait.signal.aborted && !isHeld(error)) return terms.heldExit
    throw locking(error, terms, terms.heldExit)
  }
  unlock.signal.addEventListener('abort', () => {
    say({ kind: 'lost', message: (unlock.signal.reason as LockError).message })
  })
  say({ kind: 'granted', token: unlock.token, as: await ancestor(terms, unlock.token) })
  await ended
  try {
    await unlock()
  } catch (error) {
    // The command has done its work, and the end of this process frees the lock.
    process.stderr.write(`rootlock: ${printable((error as Error).message)}\n`)
  }
  return exits.ok
}

async function lock(terms: Terms, end: AbortController): Promise<UnlockFunc> {
  const { directory, server, fileName, shared, quiet, wait, ms } = terms
  if (wait) {
    const refusal = await deadlock(terms, fileName ?? defaults.fileName, shared)
    if (refusal) throw refusal
  }
  const line = quiet ? undefined : new WaitLine(terms)
  const late = () => end.abort(new DOMException('the wait timed out', 'TimeoutError'))
  const timer = ms ? setTimeout(late, Math.ceil(ms)) : undefined
  try {
    const root = server === undefined ? directory : await openRoot(server)
    return await (shared ? tryRLock : tryLock)(root, {
      wait,
      fileName,
      signal: end.signal,
      onWait: wait && line ? (holder) => line.begin(holder) : undefined
    })
  } finally {
    clearTimeout(timer)
    line?.end()
  }
}

async function ancestor(terms: Terms, token: number) {
  const { fileName, shared } = terms
  // If the directory is gone by now, nobody can wait for its lock.
  const { dev, ino } = await identity(terms).catch(() => ({ dev: '', ino: '' }))
  return {
    dev,
    ino,
    file: fileName ?? defaults.fileName,
    mode: shared ? 'shared' : 'exclusive',
    pid: process.pid,
    token
  } as const
}

function say(words: FromKeeper): void {
  // The run may be gone; that must not end the keeper.
  if (process.connected) process.send!(words, undefined, {}, () => {})
}

/** A reader of the run's standard error must see its end when the run ends, even if work goes on. */
function alone(): void {
  const ERRORS = 2
  if (process.platform === 'win32') return
  closeSync(ERRORS)
  openSync('/dev/null', 'w')
}
