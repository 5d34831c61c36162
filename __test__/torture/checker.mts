// The claims about a history, and whether they hold. Pure: events in, violations out. What each
// disturbance voids is documented in docs/reliability.md, and decided here.

import { deaths, holds, processOf, stalls, type Hold, type Stall } from './holds.mjs'
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

/**
 * Whether an unnoticed standstill of the machine could look like this: true of claims that something
 * happens in time. Two holders, a lost update, a token that does not rise or a
 * crash are always our fault.
 */
export function mayBeTheMachines({ claim, early }: Violation): boolean {
  if (early === true) return false
  return [
    'a live holder is not preempted',
    'a preempted holder is notified',
    'nobody loses a lock for no reason',
    'nobody waits for a free lock'
  ].includes(claim)
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

/** Microseconds in which a running holder must learn that it was preempted: many beats, on any machine. */
const TOLD = 6_000_000

/** How far the wall clock of file times and the monotonic one may drift apart in a round. */
const DRIFT = 5_000

/** Nobody waits this long for a lock that nobody has while everybody runs. */
const FREE = 3_000_000

const MS = 1_000

export function check(events: readonly Event[], terms: Terms): Verdict {
  return new Check(events, terms).verdict()
}

class Check {
  readonly #events: readonly Event[]
  readonly #holds: readonly Hold[]
  readonly #stalls: readonly Stall[]
  readonly #dies: (who: string) => number
  readonly #heartbeat: number
  readonly #stale: number
  /** When a foreign program took the name from the lock file. */
  readonly #unlinks: readonly { from: number; until: number }[]
  readonly #takeovers: readonly number[]
  /** Whether somebody set file times or the wall clock: nobody can tell how old a file is. */
  readonly #timesLie: boolean
  /** Whether tokens may fall: the wall clock makes up for a lost ledger, but not if it is set back too. */
  readonly #tokensFall: boolean
  readonly #preempted = new Set<Hold>()
  readonly #violations: Violation[] = []
  readonly #tally: Tally

  constructor(events: readonly Event[], { heartbeatMs, staleMs }: Terms) {
    this.#events = events
    this.#holds = holds(events)
    this.#stalls = stalls(events)
    this.#dies = deaths(events)
    this.#heartbeat = heartbeatMs * MS
    this.#stale = staleMs * MS
    const times = (...whats: Event['what'][]) =>
      events.filter(({ what }) => whats.includes(what)).map(({ at }) => at)
    const count = (what: Event['what']) => times(what).length
    this.#unlinks = events.flatMap((event) =>
      event.what === 'unlink' || event.what === 'replace'
        ? [{ from: event.from, until: event.at }]
        : []
    )
    this.#takeovers = events
      .filter((event) => event.what === 'log' && event.message.startsWith('took over'))
      .map(({ at }) => at)
    this.#timesLie = count('touch') + count('step clock') > 0
    this.#tokensFall = count('scribble') > 0 && count('step clock') > 0
    this.#tally = {
      grants: count('granted'),
      refused: count('refused'),
      preempted: 0,
      lost: count('lost'),
      takeovers: this.#takeovers.length,
      writes: count('write'),
      turnedAway: count('turned away'),
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
    this.#errors()
    return { violations: this.#violations, tally: this.#tally }
  }

  #violate(claim: string, what: string, from: number, until: number, ...parties: string[]): void {
    this.#violations.push({ claim, what, parties: [...new Set(parties)], from, until })
  }

  // ---- exclusion ----------------------------------------------------------------------------

  /** Two incompatible holders at once: only if the earlier one's lease was over. */
  #exclusion(): void {
    let running: Hold[] = []
    for (const hold of this.#holds) {
      running = running.filter(({ until }) => until > hold.granted)
      for (const other of running) {
        if (hold.until <= hold.granted) continue
        if (hold.mode === 'shared' && other.mode === 'shared') continue
        this.#met(...this.#order(other, hold))
      }
      running.push(hold)
    }
  }

  /**
   * The holder of the earlier grant first: it is the one that was preempted. Tokens tell, because
   * a process may be late to say that it was granted the lock; where they don't, what it said must do.
   */
  #order(said: Hold, later: Hold): [Hold, Hold] {
    const byTime = isForeign(said) || isForeign(later) || this.#tokensFall
    return byTime || said.token <= later.token ? [said, later] : [later, said]
  }

  /** The holder of an earlier grant, and one that was granted the lock in the meantime. */
  #met(victim: Hold, successor: Hold): void {
    if (isForeign(victim) || isForeign(successor)) return this.#metForeign(victim, successor)
    const at = successor.granted
    const unlinked = this.#wasUnlinked(victim.asked, Math.max(at, victim.granted))
    if (unlinked) {
      // Processes that come after a foreign unlink use another file.
      this.#tally.voided += 1
      return this.#told(victim, successor)
    }
    if (!this.#preempted.has(victim)) this.#tally.preempted += 1
    this.#preempted.add(victim)
    const stamped = this.#timesLie || victim.refusedBeat ? undefined : victim.lost?.stamped
    if (stamped !== undefined && stamped + this.#stale > at + DRIFT) {
      const age = Math.round((at - stamped) / MS)
      this.#violate(
        'exclusion',
        `${name(successor)} was granted the lock ${age} ms after ${name(victim)} refreshed its lease`,
        victim.asked,
        Math.min(victim.until, at + TOLD),
        victim.who,
        successor.who
      )
    }
    // How long it must have stood still by then, if its last refresh was as late as possible.
    const least = this.#timesLie ? this.#heartbeat / 5 : this.#heartbeat
    const stalled = this.#stalled(victim, victim.asked, at)
    if (stalled.total < least) {
      this.#violate(
        'a live holder is not preempted',
        `${name(successor)} was granted the lock though ${name(victim)} had it and stood still for ` +
          `${Math.round(stalled.total / MS)} ms`,
        victim.asked,
        Math.min(victim.until, at + TOLD),
        victim.who,
        successor.who
      )
      this.#violations.at(-1)!.early = at - victim.granted < this.#stale - this.#heartbeat
    } else if (!stalled.frozen) {
      // Nobody froze it: the machine was busy with others.
      this.#tally.starved += 1
    }
    this.#told(victim, successor)
  }

  /** Whether a foreign program may have taken the lock file's name in a span of time. */
  #wasUnlinked(from: number, until: number): boolean {
    return this.#unlinks.some((unlink) => unlink.until >= from && unlink.from <= until)
  }

  /** flock(1) follows none of our rules; as long as nobody took anything over, the kernel's apply. */
  #metForeign(victim: Hold, successor: Hold): void {
    const foreign = isForeign(victim) ? victim : successor
    const before = (times: readonly number[]) => times.some((at) => at <= foreign.granted)
    // Foreign holders, one after the other, look like a frozen one: nobody refreshes the file.
    const late = this.#takeovers.some(
      (at) => at >= foreign.granted && at <= successor.granted && !this.#refreshedSince(at)
    )
    if (this.#unlinks.length > 0 || before(this.#takeovers) || late) {
      this.#tally.voided += 1
      return
    }
    this.#violate(
      'exclusion',
      `${name(victim)} and ${name(successor)} had the lock at once`,
      Math.min(victim.asked, successor.asked),
      Math.min(victim.until, successor.until),
      victim.who,
      successor.who
    )
  }

  /** Whether a holder of ours had the lock so shortly before a takeover that it must have been refreshed. */
  #refreshedSince(takeover: number): boolean {
    const since = takeover - this.#stale + this.#heartbeat
    return this.#holds.some(
      (hold) => !isForeign(hold) && hold.granted < takeover && hold.until > since
    )
  }

  /** For how long a holder did not run in a span of time, and whether the driver caused that. */
  #stalled({ who }: Hold, from: number, until: number): { total: number; frozen: boolean } {
    let [total, frozen] = [0, false]
    for (const stall of this.#stalls) {
      if (stall.process !== processOf(who)) continue
      const length = Math.min(stall.until, until) - Math.max(stall.from, from)
      if (length <= 0) continue
      total += length
      frozen ||= stall.frozen
    }
    return { total, frozen }
  }

  /** Whether a preempted holder was notified, if it had the time. */
  #told(victim: Hold, successor: Hold): void {
    if (victim.end === 'lost' || victim.end === 'death') return
    const process = processOf(victim.who)
    const awake = this.#stalls
      .filter((stall) => stall.process === process && stall.from <= victim.until)
      .reduce((latest, { until }) => Math.max(latest, until), 0)
    const since = Math.max(successor.granted, victim.granted, awake)
    const last = this.#events.at(-1)!.at
    if (Math.min(victim.until, last) - since <= TOLD) return
    this.#violate(
      'a preempted holder is notified',
      `${name(victim)} did not hear that ${name(successor)} has the lock`,
      victim.asked,
      Math.min(victim.until, last),
      victim.who,
      successor.who
    )
  }

  // ---- tokens and data ----------------------------------------------------------------------

  /** A grant that was made before another request began has a smaller token. */
  #tokens(): void {
    if (this.#tokensFall) return
    const ours = this.#holds.filter((hold) => !isForeign(hold))
    const byToken = new Map<number, Hold>()
    for (const hold of ours) {
      const twin = byToken.get(hold.token)
      if (twin) {
        this.#violate(
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
      this.#violate(
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
    for (const event of this.#events) {
      if (event.what !== 'lost update') continue
      this.#violate(
        'no update is lost',
        `${event.by} wrote over ${event.value}, having read ${event.base}`,
        event.at - this.#stale,
        event.at,
        event.by,
        'store'
      )
    }
    let [newest, value] = [0, 0]
    for (const event of this.#events) {
      if (event.what !== 'write') continue
      if (event.token < newest || event.value !== value + 1) {
        this.#violate(
          'no update is lost',
          `the store took ${event.value} under token ${event.token} after ${value} under ${newest}`,
          event.at - this.#stale,
          event.at,
          event.by,
          'store'
        )
      }
      ;[newest, value] = [event.token, event.value]
    }
    for (const hold of this.#holds) {
      if (hold.mode !== 'shared' || new Set(hold.values).size < 2) continue
      // A reader that was preempted, or can't know of it yet, no longer counts.
      const excused = this.#holds.some(
        (other) =>
          other.mode === 'exclusive' && other.token > hold.token && other.granted < hold.until
      )
      if (excused || hold.end !== 'release') continue
      if (this.#stalled(hold, hold.asked, hold.until).total > 0) continue
      if (this.#wasUnlinked(hold.asked, hold.until)) continue
      this.#violate(
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
    for (const hold of this.#holds) {
      const { lost } = hold
      if (lost === undefined) continue
      if (this.#wasUnlinked(hold.asked, lost.at)) continue
      const since = lost.at - 2 * this.#stale - 1_000 * MS
      // A process that stands still inside the guard holds up everybody's beats.
      const anybody = lost.reason === 'heartbeat-failed'
      const stalled = this.#stalls.some(
        ({ process, from, until }) =>
          (anybody || process === processOf(hold.who)) && from <= lost.at && until >= since
      )
      if (stalled) continue
      this.#violate(
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
    for (const event of this.#events) {
      if (event.what === 'stuck') {
        const seconds = Math.round(event.after / MS / 1_000)
        const from = event.at - event.after
        this.#violate(
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
        this.#tally.longestWaitMs = Math.max(this.#tally.longestWaitMs, Math.round(wait))
        asked.delete(key)
      }
    }
    for (const { at, who } of asked.values()) {
      if (who === 'flock' || this.#dies(who) < Infinity) continue
      const last = this.#events.at(-1)!.at
      this.#violate('nobody waits forever', `${who} asked and was not answered`, at, last, who)
    }
  }

  /** A long wait must have been for a holder: otherwise a wake-up was missed, and made up for later. */
  #waited(who: string, asked: number, answered: number): void {
    if (answered - asked <= FREE) return
    const occupied = [
      // If an event loop is busy, a grant is reported a while after it was made.
      ...this.#holds.map(({ granted, until }) => ({ from: granted - FREE / 3, until })),
      ...this.#stalls
    ].toSorted((one, other) => one.from - other.from)
    let free = asked
    for (const span of occupied) {
      if (Math.min(span.from, answered) - free > FREE) break
      free = Math.max(free, span.until)
    }
    if (answered - free <= FREE) return
    this.#violate(
      'nobody waits for a free lock',
      `${who} waited for ${Math.round((answered - asked) / MS)} ms, ` +
        'most of it while nobody had the lock',
      asked,
      answered,
      who
    )
  }

  #errors(): void {
    for (const event of this.#events) {
      if (event.what !== 'failed') continue
      const { who, at, message } = event
      this.#violate('no error but the documented ones', message, at - this.#stale, at, who)
    }
  }
}

function isForeign({ who }: Hold): boolean {
  return who === 'flock'
}

function name({ who, id, token }: Hold): string {
  return isForeign({ who } as Hold) ? `flock(1) ${id}` : `${who} (token ${token})`
}
