// What a history on a server must fulfil.

import { Check, MS, name } from './check.mjs'
import { processOf, type Hold, type Span, type Stall } from './holds.mjs'
import type { Event } from './log.mjs'
import { longest, outages, overlap, placeOf, type Outage } from './outages.mjs'
import type { Engine, Terms } from './plan.mjs'

/** Microseconds in which a holder that runs and can be reached must hear that its session has ended, on any machine. */
const TOLD = 1_000_000

/** How long a wait pauses at most before it tries again to reach a server that was away. */
const BACKOFF = 2_000_000

/** A request has reached a server that can be reached within this time, and a server that is back can be reached after it. */
const REACHED = 1_000_000

export class ServerCheck extends Check {
  /** Sooner than a lease ends that nobody beats: a dead holder frees the lock at once. */
  protected readonly free: number
  readonly #engine: Engine
  readonly #outages: readonly Outage[]
  /** When somebody ended the sessions of others. */
  readonly #ends: readonly Span[]

  constructor(events: readonly Event[], terms: Terms, engine: Engine) {
    super(events, terms)
    this.free = this.stale - 2 * this.heartbeat
    this.#engine = engine
    this.#outages = outages(events)
    this.#ends = events.flatMap((event) =>
      event.what === 'end session' ? [{ from: event.from, until: event.at }] : []
    )
    // What a dead, frozen or cut off holder had not given back.
    const newest = Math.max(...this.holds.map(({ token }) => token))
    this.tally.takeovers = this.holds.filter(
      ({ end, token }) => (end === 'death' || end === 'lost') && token < newest
    ).length
  }

  // ---- exclusion ----------------------------------------------------------------------------

  /** The server ends a session that it has not heard of for a lease, and no other one; unless it is told to. */
  protected met(victim: Hold, successor: Hold): void {
    const at = successor.granted
    // The first to come has said everything about it.
    if (this.preempted.has(victim)) return
    this.tally.preempted += 1
    this.preempted.add(victim)
    const ended = this.#endOf(victim, at)
    if (ended !== undefined) {
      this.tally.voided += 1
      return this.#told(victim, successor, ended)
    }
    const silences = this.#silences(victim, at)
    const silence = longest(silences, { from: at - 2 * this.stale, until: at }, this.heartbeat)
    // Its last beat was one heartbeat before that at most, and the next one would have been the same.
    const least = this.stale - 2 * this.heartbeat
    if (silence < least) {
      const violation = this.violate(
        'a live holder is not preempted',
        `${name(successor)} was granted the lock though ${name(victim)} had it and was silent for ` +
          `${Math.round(silence / MS)} ms`,
        victim.asked,
        Math.min(victim.until, at + TOLD),
        victim.who,
        successor.who
      )
      const before = { from: victim.granted - this.stale, until: at }
      violation.early =
        at - victim.granted < least && !silences.some((each) => overlap(each, before))
      return
    }
    if (this.stalled(victim, at - this.stale, at).total > 0 && !this.#wasDisturbed(victim, at)) {
      // Nobody froze it or cut it off: the machine was busy with others.
      this.tally.starved += 1
    }
    this.#told(victim, successor, undefined)
  }

  /** When the session of a holder was ended before its time, if it was. */
  #endOf({ who, asked }: Hold, at: number): Span | undefined {
    const during = { from: asked, until: at }
    const cut = this.#outages.filter(
      ({ what, place }) =>
        what === 'link cut' && place === placeOf(who) && this.#engine === 'postgres'
    )
    // A session ends with its connection: only the moment of the cut counts.
    const moments = cut.map(({ from }) => ({ from, until: from }))
    return [...this.#ends, ...moments].find((span) => overlap(span, during))
  }

  /** When nothing was heard of a holder. */
  #silences({ who, granted }: Hold, at: number): Span[] {
    const own = this.#ownOutages(who).filter(({ what }) => what !== 'link slow')
    return [
      ...this.#ownStalls(who),
      ...own.map((outage) => {
        // A session of PostgreSQL ends with its server; what a member of etcd forgets, it has on its disk.
        const forGood =
          outage.what === 'restart' &&
          this.#engine === 'postgres' &&
          outage.until >= granted - this.heartbeat
        return { from: outage.from, until: forGood ? Math.max(at, outage.until) : outage.until }
      })
    ]
  }

  #ownStalls(who: string): Stall[] {
    return this.stalls.filter(({ process }) => process === processOf(who))
  }

  #ownOutages(who: string): Outage[] {
    return this.#outages.filter(({ place }) => place === undefined || place === placeOf(who))
  }

  #wasDisturbed({ who }: Hold, at: number): boolean {
    const before = { from: at - 2 * this.stale, until: at }
    return (
      this.#ownStalls(who).some((stall) => stall.frozen && overlap(stall, before)) ||
      this.#ownOutages(who).some((outage) => overlap(outage, before))
    )
  }

  /**
   * A holder whose session was ended is told at once, if it can be reached, or by its own clock. So is one that is cut off: its
   * lease ends a heartbeat before its session.
   */
  #told(victim: Hold, successor: Hold, ended: Span | undefined): void {
    const last = this.events.at(-1)!.at
    const until = Math.min(victim.until, last)
    const at = Math.max(successor.granted, victim.granted)
    const asleep = this.#ownStalls(victim.who)
      .filter((stall) => stall.from <= until && stall.until >= at - this.heartbeat)
      .reduce((latest, stall) => Math.max(latest, stall.until), 0)
    const since = Math.max(at, asleep)
    const cutOff =
      ended !== undefined &&
      this.#ownOutages(victim.who).some((outage) =>
        overlap(outage, { from: ended.from - this.heartbeat, until })
      )
    const byItsClock = ended === undefined && asleep < at
    const limit = byItsClock ? this.heartbeat / 4 : cutOff ? this.stale + TOLD : TOLD
    if (until - since <= limit) return
    this.violate(
      byItsClock
        ? 'a holder that is cut off is told before the next one is granted'
        : 'a preempted holder is notified',
      `${name(victim)} had not heard after ${Math.round((until - since) / MS)} ms that ` +
        `${name(successor)} has the lock`,
      victim.asked,
      until,
      victim.who,
      successor.who
    )
  }

  // ---- losses and waits -----------------------------------------------------------------------

  protected mayNotKnow({ who, asked, until }: Hold): boolean {
    const during = { from: asked - this.stale, until }
    return [...this.#ownStalls(who), ...this.#ownOutages(who), ...this.#ends].some((span) =>
      overlap(span, during)
    )
  }

  protected hadReason({ who }: Hold, { at }: NonNullable<Hold['lost']>): boolean {
    const before = { from: at - this.stale - 1_000 * MS, until: at }
    // A way that is long and a member that stands still for a moment are no reasons.
    const serious = this.#ownOutages(who).filter(
      ({ what }) => what !== 'link slow' && what !== 'stop member'
    )
    return [...this.#ownStalls(who), ...serious, ...this.#ends].some((span) =>
      overlap(span, before)
    )
  }

  /** One that is frozen or cut off may be granted the lock without knowing, and keeps it for a lease. */
  protected occupied(): Span[] {
    return [
      ...this.stalls.map(({ process, from, until }) =>
        longer({ from, until: Math.min(until, this.dies(process)) }, this.stale)
      ),
      ...this.#outages.map((outage) =>
        // Leases of before a restart are sat out, or begin anew.
        longer(outage, (outage.what === 'restart' ? 2 : 1) * this.stale + BACKOFF)
      ),
      ...this.#ends.map((end) => longer(end, TOLD))
    ]
  }

  // ---- errors ---------------------------------------------------------------------------------

  protected override errors(): void {
    super.errors()
    const asked = new Map<string, { at: number; wait: boolean }>()
    for (const event of this.events) {
      const { who, at } = event
      if (event.what === 'ask') asked.set(`${who} ${event.id}`, event)
      if (event.what === 'refused' && event.because === 'away') {
        const request = asked.get(`${who} ${event.id}`)!
        // Once it waits, it goes on when the server is back.
        const until = request.wait ? Math.min(at, request.at + REACHED) : at
        this.#refused(event, { from: request.at, until }, event.message!)
      }
      if (event.what === 'away')
        this.#refused(event, { from: event.since, until: at }, event.message)
      if (event.what === 'left') {
        const { held, waiting } = event
        const what = `${held} locks are held and ${waiting} waited for, though all have ended`
        this.violate('nobody waits forever', what, at, at)
      }
    }
  }

  /** A request may be refused because the server is away, if it was away then. */
  #refused({ who, at }: Event, { from, until }: Span, message: string): void {
    const during = { from: from - REACHED, until }
    const disturbed = [...this.#ownStalls(who), ...this.#ownOutages(who), ...this.#ends]
    if (disturbed.some((span) => overlap(span, during))) return
    this.violate('nobody is refused while the server can be reached', message, from, at, who)
  }
}

function longer({ from, until }: Span, by: number): Span {
  return { from, until: until + by }
}
