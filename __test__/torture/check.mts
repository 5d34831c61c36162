// The claims about any history. What is particular to a stage is in its own check.

import { deaths, holds, processOf, stalls, type Hold, type Span, type Stall } from './holds.mjs'
import type { Event } from './log.mjs'
import type { Terms } from './plan.mjs'

export interface Violation {
  claim: string
  what: string
  /** The processes involved, and the time. */
  parties: string[]
  from: number
  until: number
  /** So soon that the machine can't have stood still for long enough. */
  early?: boolean
}

/** Counts of what happened. */
export interface Tally {
  grants: number
  refused: number
  preempted: number
  lost: number
  takeovers: number
  writes: number
  turnedAway: number
  longestWaitMs: number
  /** Preempted or lost although nobody froze it: the machine did not run it for long enough. */
  starved: number
  /** Pairs of overlapping holds for which exclusion was not promised. */
  voided: number
}

export interface Verdict {
  violations: Violation[]
  tally: Tally
}

export const MS = 1_000

export abstract class Check {
  protected readonly events: readonly Event[]
  protected readonly holds: readonly Hold[]
  protected readonly stalls: readonly Stall[]
  protected readonly dies: (who: string) => number
  protected readonly heartbeat: number
  protected readonly stale: number
  protected readonly takeovers: readonly number[]
  protected readonly preempted = new Set<Hold>()
  protected readonly tally: Tally
  readonly #violations: Violation[] = []

  constructor(events: readonly Event[], { heartbeatMs, staleMs }: Terms) {
    this.events = events
    this.holds = holds(events)
    this.stalls = stalls(events)
    this.dies = deaths(events)
    this.heartbeat = heartbeatMs * MS
    this.stale = staleMs * MS
    this.takeovers = events
      .filter((event) => event.what === 'log' && event.message.startsWith('took over'))
      .map(({ at }) => at)
    this.tally = {
      grants: this.count('granted'),
      refused: this.count('refused'),
      preempted: 0,
      lost: this.count('lost'),
      takeovers: this.takeovers.length,
      writes: this.count('write'),
      turnedAway: this.count('turned away'),
      longestWaitMs: 0,
      starved: 0,
      voided: 0
    }
  }

  verdict(): Verdict {
    this.#exclusion()
    this.#tokens()
    this.#data()
    this.#losses()
    this.#waits()
    this.errors()
    return { violations: this.#violations, tally: this.tally }
  }

  // ---- what is particular to a stage ----------------------------------------------------------

  /** The holder of an earlier grant, and one that was granted the lock in the meantime. */
  protected abstract met(victim: Hold, successor: Hold): void

  /** Whether a reader that saw a change may have lost the lock without knowing. */
  protected abstract mayNotKnow(hold: Hold): boolean

  /** Whether something had happened for which a lock may be lost. */
  protected abstract hadReason(hold: Hold, lost: NonNullable<Hold['lost']>): boolean

  /** Nobody waits this long for a lock that nobody has, while nothing disturbs. */
  protected abstract readonly free: number

  /** When somebody has the lock, or may have it. */
  protected abstract occupied(): Span[]

  /** Whether tokens may fall. */
  protected readonly tokensFall: boolean = false

  // ---- for all of them ------------------------------------------------------------------------

  protected count(what: Event['what']): number {
    return this.events.filter((event) => event.what === what).length
  }

  protected violate(
    claim: string,
    what: string,
    from: number,
    until: number,
    ...parties: string[]
  ): Violation {
    const violation: Violation = { claim, what, parties: [...new Set(parties)], from, until }
    this.#violations.push(violation)
    return violation
  }

  protected errors(): void {
    for (const event of this.events) {
      if (event.what !== 'failed') continue
      const { who, at, message } = event
      this.violate('no error but the documented ones', message, at - this.stale, at, who)
    }
  }

  // ---- exclusion ----------------------------------------------------------------------------

  /** Two incompatible holders at once: only if the earlier one's lease was over. */
  #exclusion(): void {
    let running: Hold[] = []
    for (const hold of this.holds) {
      running = running.filter(({ until }) => until > hold.granted)
      for (const other of running) {
        if (hold.until <= hold.granted) continue
        if (hold.mode === 'shared' && other.mode === 'shared') continue
        this.met(...this.#order(other, hold))
      }
      running.push(hold)
    }
  }

  /**
   * The holder of the earlier grant first: it is the one that was preempted. Tokens tell, because
   * a process may be late to say that it was granted the lock; where they don't, what it said must do.
   */
  #order(said: Hold, later: Hold): [Hold, Hold] {
    const byTime = isForeign(said) || isForeign(later) || this.tokensFall
    return byTime || said.token <= later.token ? [said, later] : [later, said]
  }

  /** For how long a holder did not run in a span of time, and whether the driver caused that. */
  protected stalled(
    { who }: Hold,
    from: number,
    until: number
  ): { total: number; frozen: boolean } {
    let [total, frozen] = [0, false]
    for (const stall of this.stalls) {
      if (stall.process !== processOf(who)) continue
      const length = Math.min(stall.until, until) - Math.max(stall.from, from)
      if (length <= 0) continue
      total += length
      frozen ||= stall.frozen
    }
    return { total, frozen }
  }

  // ---- tokens and data ----------------------------------------------------------------------

  /** A grant that was made before another request began has a smaller token. */
  #tokens(): void {
    if (this.tokensFall) return
    const ours = this.holds.filter((hold) => !isForeign(hold))
    const byToken = new Map<number, Hold>()
    for (const hold of ours) {
      const twin = byToken.get(hold.token)
      if (twin) {
        this.violate(
          'tokens rise',
          `${name(twin)} and ${name(hold)} have one token`,
          Math.min(twin.asked, hold.asked),
          Math.max(twin.granted, hold.granted),
          twin.who,
          hold.who
        )
      }
      byToken.set(hold.token, hold)
    }
    const inOrderOfAsking = ours.toSorted((one, other) => one.asked - other.asked)
    let next = 0
    let newest: Hold | undefined
    for (const hold of inOrderOfAsking) {
      for (; next < ours.length && ours[next]!.granted < hold.asked; next++) {
        if (newest === undefined || ours[next]!.token > newest.token) newest = ours[next]!
      }
      if (newest === undefined || newest.token < hold.token) continue
      this.violate(
        'tokens rise',
        `${name(hold)} asked after ${name(newest)} was granted the lock`,
        newest.asked,
        hold.granted,
        newest.who,
        hold.who
      )
    }
  }

  /** What the lock protects changes only by its holders. */
  #data(): void {
    for (const event of this.events) {
      if (event.what !== 'lost update') continue
      this.violate(
        'no update is lost',
        `${event.by} wrote over ${event.value}, having read ${event.base}`,
        event.at - this.stale,
        event.at,
        event.by,
        'store'
      )
    }
    let [newest, value] = [0, 0]
    for (const event of this.events) {
      if (event.what !== 'write') continue
      if (event.token < newest || event.value !== value + 1) {
        this.violate(
          'no update is lost',
          `the store took ${event.value} under token ${event.token} after ${value} under ${newest}`,
          event.at - this.stale,
          event.at,
          event.by,
          'store'
        )
      }
      ;[newest, value] = [event.token, event.value]
    }
    for (const hold of this.holds) {
      if (hold.mode !== 'shared' || new Set(hold.values).size < 2) continue
      // A reader that was preempted, or can't know of it yet, no longer counts.
      const excused = this.holds.some(
        (other) =>
          other.mode === 'exclusive' && other.token > hold.token && other.granted < hold.until
      )
      if (excused || hold.end !== 'release') continue
      if (this.mayNotKnow(hold)) continue
      this.violate(
        'no update is lost',
        `${name(hold)} saw ${hold.values.join(', then ')} while it shared the lock`,
        hold.asked,
        hold.until,
        hold.who,
        'store'
      )
    }
  }

  // ---- losses, waits, errors ----------------------------------------------------------------

  /** Nobody loses a lock for no reason. */
  #losses(): void {
    for (const hold of this.holds) {
      const { lost } = hold
      if (lost === undefined) continue
      if (this.hadReason(hold, lost)) continue
      this.violate(
        'nobody loses a lock for no reason',
        `${name(hold)} lost it (${lost.reason}) though nothing had happened to it`,
        hold.asked,
        lost.at,
        hold.who
      )
    }
  }

  /** Every wait ends once nothing disturbs it any more. */
  #waits(): void {
    const asked = new Map<string, { at: number; who: string }>()
    for (const event of this.events) {
      if (event.what === 'stuck') {
        const seconds = Math.round(event.after / MS / 1_000)
        const from = event.at - event.after
        this.violate(
          'nobody waits forever',
          `${event.target} did not end in ${seconds} s`,
          from,
          event.at,
          event.target
        )
      }
      if (!('id' in event)) continue
      const key = `${event.who} ${event.id}`
      if (event.what === 'ask') asked.set(key, event)
      if (event.what === 'granted' || event.what === 'refused' || event.what === 'failed') {
        const since = asked.get(key)!.at
        const wait = (event.at - since) / MS
        this.#waited(event.who, since, event.at)
        this.tally.longestWaitMs = Math.max(this.tally.longestWaitMs, Math.round(wait))
        asked.delete(key)
      }
    }
    for (const { at, who } of asked.values()) {
      if (who === 'flock' || this.dies(who) < Infinity) continue
      const last = this.events.at(-1)!.at
      this.violate('nobody waits forever', `${who} asked and was not answered`, at, last, who)
    }
  }

  /** A long wait must have been for a holder: otherwise a wake-up was missed, and made up for later. */
  #waited(who: string, asked: number, answered: number): void {
    const { free: limit } = this
    if (answered - asked <= limit) return
    const occupied = [
      // If an event loop is busy, a grant is reported a while after it was made.
      ...this.holds.map(({ granted, until }) => ({ from: granted - limit / 3, until })),
      ...this.occupied()
    ].toSorted((one, other) => one.from - other.from)
    let free = asked
    for (const span of occupied) {
      if (Math.min(span.from, answered) - free > limit) break
      free = Math.max(free, span.until)
    }
    if (answered - free <= limit) return
    this.violate(
      'nobody waits for a free lock',
      `${who} waited for ${Math.round((answered - asked) / MS)} ms, ` +
        'most of it while nobody had the lock',
      asked,
      answered,
      who
    )
  }
}

export function isForeign({ who }: Hold): boolean {
  return who === 'flock'
}

export function name({ who, id, token }: Hold): string {
  return isForeign({ who } as Hold) ? `flock(1) ${id}` : `${who} (token ${token})`
}
