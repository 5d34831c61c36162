// `rootlock status`: the state of a lock.

import { setTimeout as pause } from 'node:timers/promises'

import { printable } from '../src/printable'
import type { LockOwner } from '../index'
import { diagnose, type Diagnosis } from '../src/diagnosis'
import { lockable, parse } from './arguments'
import { exits } from './exits'
import { locking } from './failure'
import { duration, reachMeans, who } from './words'

const EVERY_MS = 1000

const TOP_LEFT_AND_CLEAR = '\x1b[H\x1b[2J'

const options = {
  json: { type: 'boolean' },
  watch: { type: 'boolean' }
} as const

export async function status(args: string[]): Promise<number> {
  const { values, target } = parse('status', args, options)
  const look = async () => {
    try {
      return await diagnose(lockable(target), target.fileName)
    } catch (error) {
      throw locking(error, target, exits.held)
    }
  }
  const show = values.json ? json : target.server === undefined ? text : serverText
  if (!values.watch) {
    process.stdout.write(show(await look()))
    return exits.ok
  }
  // A reader that has seen enough closes the pipe.
  process.stdout.on('error', () => process.exit(exits.ok))
  const redraw = process.stdout.isTTY && !values.json
  for (let before = ''; ; await pause(EVERY_MS)) {
    const seen = await look()
    if (redraw) {
      process.stdout.write(TOP_LEFT_AND_CLEAR + show(seen))
      continue
    }
    const now = JSON.stringify(lasting(seen))
    if (now !== before) process.stdout.write(show(seen))
    before = now
  }
}

/** What does not change merely because time passes. */
const lasting = (seen: Diagnosis) => ({ ...seen, ageMs: undefined })

/** One line. */
function json(seen: Diagnosis): string {
  const { path, state, holder, ageMs, heartbeatMs, staleMs, holders, waiters } = seen
  const { fileSystem, mountOptions, reach } = seen
  const told = {
    path,
    state,
    holder,
    ageMs,
    heartbeatMs,
    staleMs,
    holders: holders ?? null,
    waiters: waiters ?? null,
    fileSystem: { kind: fileSystem, options: mountOptions, worth: reach }
  }
  return `${escaped(JSON.stringify(told))}\n`
}

/** JSON escapes only some of the characters that act on a terminal; this escapes the rest, as JSON would. */
function escaped(line: string): string {
  return line.replace(
    /[\x7f-\x9f\p{Bidi_Control}\u2028\u2029]/gu,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`
  )
}

function text(seen: Diagnosis): string {
  const { fileSystem, reach } = seen
  const storage = `${fileSystem || 'unknown'}: ${reachMeans[reach]}`
  return shown([...linesOf(seen), ['storage', storage]])
}

function serverText(seen: Diagnosis): string {
  const { fileSystem, mountOptions } = seen
  return shown([
    ...linesOf(seen),
    ['server', [fileSystem, mountOptions].filter(Boolean).join(', ')]
  ])
}

type Line = [name: string, value: string]

const shown = (lines: Line[]) =>
  lines.map(([name, value]) => `${name.padEnd(10)} ${printable(value)}\n`).join('')

function linesOf(seen: Diagnosis): Line[] {
  const lines: Line[] = [
    ['lock', seen.path],
    ['state', stateOf(seen)]
  ]
  const { holder, ageMs, heartbeatMs, staleMs, holders = [], waiters } = seen
  if (holder) {
    lines.push(['holder', who(holder)])
    if (holder.acquiredAt) {
      const ago = duration(Math.max(0, Date.now() - holder.acquiredAt.getTime()))
      lines.push(['since', `${holder.acquiredAt.toISOString()}, ${ago} ago`])
    }
    if (holder.token !== undefined) lines.push(['token', String(holder.token)])
  }
  if (seen.state !== 'free' && ageMs !== undefined) {
    const terms =
      heartbeatMs === undefined
        ? 'its holder keeps no record and may have no heartbeat'
        : `due every ${duration(heartbeatMs)}, stale after ${duration(staleMs!)}`
    lines.push(['heartbeat', `${duration(ageMs)} ago; ${terms}`])
  }
  if (holders.length > 1) lines.push(['readers', all(holders)])
  if (waiters?.length) lines.push(['waiting', all(waiters)])
  return lines
}

function stateOf({ state, holders }: Diagnosis): string {
  switch (state) {
    case 'free':
      return 'free'
    case 'exclusive':
      return 'held by a writer'
    case 'shared':
      return holders && holders.length > 1
        ? `held by ${holders.length} readers`
        : 'held by a reader'
    case 'stale':
      return 'stale: held, but its holder shows no sign of life; a waiter may take it over'
  }
}

const all = (owners: readonly LockOwner[]) =>
  owners.map((owner) => `${who(owner)} ${owner.mode === 'shared' ? 'reads' : 'writes'}`).join(', ')
