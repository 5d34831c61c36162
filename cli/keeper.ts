// The process that keeps the lock of a `rootlock run`, until the work is over.
//
// Why not the run itself: the lock must outlive whoever started the command. A SIGKILL ends the run and
// not the command; a SIGTERM ends the command and not what that has started. flock(1) hands its locked
// descriptor down, and the kernel keeps the lock as long as anybody has it; but nobody would beat then,
// and a lock without a beat, whose holder is dead, is rightly taken over. So the descriptor that is
// handed down is one end of a line, and the other end is here: when the last of those who have it ends,
// or closes it, the line says so, and the lock is released. Nobody has to be found or waited for.

import { once } from 'node:events'
import { closeSync, openSync } from 'node:fs'
import { Socket } from 'node:net'

import { tryLock, tryRLock, type LockError, type UnlockFunc } from '../index'
import { printable } from '../src/printable'
import { deadlock, identity } from './ancestors'
import { exits } from './exits'
import { isHeld, locking, misused } from './failure'
import { LINE, type FromKeeper, type Terms, type ToKeeper } from './keeper-words'
import { SIGNALS } from './signals'
import { WaitLine } from './wait-line'

const DEFAULT_FILE = '.lock'

/** For a signal to the group to come to all who are in it. */
const DELIVERED_MS = 5

/** For what ends with the command, a moment after it: that is not left running. */
const STRAGGLERS_MS = 100

export async function keeper([directory]: string[]): Promise<number> {
  if (!process.send || !directory) {
    throw misused('this is for run', 'Ask for: rootlock run DIR -- COMMAND…')
  }
  // It ends by the work's end alone; what it is sent is told to the run, which knows what to do.
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
  // An error is an end as well, and what is written into it by mistake is no news.
  line.on('error', () => {}).resume()
  process.on('disconnect', alone)
  process.on('message', (message: ToKeeper) => {
    if (message.kind === 'tell') return later(DELIVERED_MS, () => say({ kind: 'told' }))
    if (terms.inherited) later(STRAGGLERS_MS, () => over || say({ kind: 'kept' }))
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
    // The run has let go of it, or is gone: nobody has asked any more.
    if (wait.signal.aborted && !isHeld(error)) return terms.heldExit
    throw locking(error, terms.directory, terms.heldExit)
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
  const { directory, fileName, shared, quiet, wait, ms } = terms
  if (wait) {
    const refusal = await deadlock(directory, fileName ?? DEFAULT_FILE, shared)
    if (refusal) throw refusal
  }
  const line = quiet ? undefined : new WaitLine(directory, fileName)
  const late = () => end.abort(new DOMException('the time to wait is over', 'TimeoutError'))
  const timer = ms ? setTimeout(late, Math.ceil(ms)) : undefined
  try {
    return await (shared ? tryRLock : tryLock)(directory, {
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

async function ancestor({ directory, fileName, shared }: Terms, token: number) {
  // A directory that is gone by now is nobody's to wait for.
  const { dev, ino } = await identity(directory).catch(() => ({ dev: '', ino: '' }))
  return {
    dev,
    ino,
    file: fileName ?? DEFAULT_FILE,
    mode: shared ? 'shared' : 'exclusive',
    pid: process.pid,
    token
  } as const
}

function say(words: FromKeeper): void {
  // The run may be gone, which is nothing that should end this.
  if (process.connected) process.send!(words, undefined, {}, () => {})
}

/** Later than all that has come by then, signals and the end of the line among it. */
function later(ms: number, then: () => void): void {
  setTimeout(() => setImmediate(then), ms)
}

/** Whoever reads the run's errors waits for the end of the run, and not of what is still at work. */
function alone(): void {
  const ERRORS = 2
  if (process.platform === 'win32') return
  closeSync(ERRORS)
  openSync('/dev/null', 'w')
}
