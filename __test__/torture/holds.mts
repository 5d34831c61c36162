import type { Event, Mode } from './log.mjs'

/** A hold as its holder saw it: the real one is no shorter. */
export interface Hold {
  who: string
  id: number
  mode: Mode
  asked: number
  granted: number
  token: number
  /** When it was released or ended; never, if nothing is known of that. */
  until: number
  end: 'release' | 'lost' | 'death' | 'unknown'
  lost?: { at: number; reason: string; stamped?: number }
  /** Values that its holder saw of what the lock protects. */
  values: number[]
  /** A beat was refused: a sign of life that refreshes no lease. */
  refusedBeat: boolean
}

export interface Span {
  from: number
  until: number
}

/** A time in which a process did not run, because of the driver or because the machine was busy. */
export interface Stall extends Span {
  process: string
  frozen: boolean
}

/** The process that an actor lives in. */
export function processOf(who: string): string {
  return who.split('/')[0]!
}

/** When the driver ended an actor or its process; to be exact, just before. */
export function deaths(events: readonly Event[]): (who: string) => number {
  const at = new Map<string, number>()
  for (const event of events) {
    if (event.what === 'kill' || event.what === 'terminate' || event.what === 'stuck') {
      if (!at.has(event.target)) at.set(event.target, event.at)
    }
  }
  return (who) => Math.min(at.get(who) ?? Infinity, at.get(processOf(who)) ?? Infinity)
}

export function holds(events: readonly Event[]): Hold[] {
  const dies = deaths(events)
  const asked = new Map<string, { at: number; mode: Mode }>()
  const found = new Map<string, Hold>()
  for (const event of events) {
    if (!('id' in event)) continue
    const key = `${event.who} ${event.id}`
    if (event.what === 'ask') asked.set(key, { at: event.at, mode: event.mode })
    if (event.what === 'granted') {
      const { at, mode } = asked.get(key)!
      const { who, id, token } = event
      found.set(key, {
        who,
        id,
        mode,
        asked: at,
        granted: event.at,
        token,
        until: Infinity,
        end: 'unknown',
        values: [],
        refusedBeat: false
      })
    }
    const hold = found.get(key)
    if (hold === undefined) continue
    if (event.what === 'value') hold.values.push(event.value)
    if (event.what === 'log' && event.message.startsWith('heartbeat failed'))
      hold.refusedBeat = true
    if (event.what === 'lost' && hold.end !== 'release') {
      const { at, reason, stamped } = event
      Object.assign(hold, { until: at, end: 'lost' })
      hold.lost = { at, reason, ...(stamped !== undefined && { stamped }) }
    }
    if (event.what === 'release' && hold.end === 'unknown') {
      Object.assign(hold, { until: event.at, end: 'release' })
    }
  }
  for (const hold of found.values()) {
    const death = dies(hold.who)
    if (death < hold.until) Object.assign(hold, { until: death, end: 'death' })
  }
  return [...found.values()].toSorted((one, other) => one.granted - other.granted)
}

export function stalls(events: readonly Event[]): Stall[] {
  const found: Stall[] = []
  const open = new Map<string, Stall>()
  for (const event of events) {
    if (event.what === 'freeze') {
      const stall = { process: event.target, from: event.at, until: Infinity, frozen: true }
      open.set(event.target, stall)
      found.push(stall)
    } else if (event.what === 'thaw') {
      const stall = open.get(event.target)
      if (stall) stall.until = event.at
      open.delete(event.target)
    } else if (event.what === 'gap') {
      found.push({ process: event.who, from: event.from, until: event.at, frozen: false })
    }
  }
  return found
}
