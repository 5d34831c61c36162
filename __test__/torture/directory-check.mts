// What a history in a directory must fulfil.

import { Check, isForeign, MS, name } from './check.mjs'
import { processOf, type Hold, type Span } from './holds.mjs'
import type { Event } from './log.mjs'
import type { Terms } from './plan.mjs'

/** Microseconds in which a running holder must learn that it was preempted: many beats, on any machine. */
const TOLD = 6_000_000

/** How far the wall clock of file times and the monotonic one may drift apart in a round. */
const DRIFT = 5_000

export class DirectoryCheck extends Check {
  protected readonly free = 3_000_000
  /** When a foreign program took the name from the lock file. */
  readonly #unlinks: readonly Span[]
  /** Whether somebody set file times or the wall clock: nobody can tell how old a file is. */
  readonly #timesLie: boolean
  /** The wall clock makes up for a lost ledger, but not if it is set back too. */
  protected override readonly tokensFall: boolean

  constructor(events: readonly Event[], terms: Terms) {
    super(events, terms)
    this.#unlinks = events.flatMap((event) =>
      event.what === 'unlink' || event.what === 'replace'
        ? [{ from: event.from, until: event.at }]
        : []
    )
    this.#timesLie = this.count('touch') + this.count('step clock') > 0
    this.tokensFall = this.count('scribble') > 0 && this.count('step clock') > 0
  }

  protected mayNotKnow(hold: Hold): boolean {
    return (
      this.stalled(hold, hold.asked, hold.until).total > 0 ||
      this.#wasUnlinked(hold.asked, hold.until)
    )
  }

  protected hadReason(hold: Hold, lost: NonNullable<Hold['lost']>): boolean {
    if (this.#wasUnlinked(hold.asked, lost.at)) return true
    const since = lost.at - 2 * this.stale - 1_000 * MS
    // A process that stands still inside the guard holds up everybody's beats.
    const anybody = lost.reason === 'heartbeat-failed'
    return this.stalls.some(
      ({ process, from, until }) =>
        (anybody || process === processOf(hold.who)) && from <= lost.at && until >= since
    )
  }

  protected occupied(): Span[] {
    return [...this.stalls]
  }

  /** The holder of an earlier grant, and one that was granted the lock in the meantime. */
  protected met(victim: Hold, successor: Hold): void {
    if (isForeign(victim) || isForeign(successor)) return this.#metForeign(victim, successor)
    const at = successor.granted
    const unlinked = this.#wasUnlinked(victim.asked, Math.max(at, victim.granted))
    if (unlinked) {
      // Processes that come after a foreign unlink use another file.
      this.tally.voided += 1
      return this.#told(victim, successor)
    }
    if (!this.preempted.has(victim)) this.tally.preempted += 1
    this.preempted.add(victim)
    const stamped = this.#timesLie || victim.refusedBeat ? undefined : victim.lost?.stamped
    if (stamped !== undefined && stamped + this.stale > at + DRIFT) {
      const age = Math.round((at - stamped) / MS)
      this.violate(
        'exclusion',
        `${name(successor)} was granted the lock ${age} ms after ${name(victim)} refreshed its lease`,
        victim.asked,
        Math.min(victim.until, at + TOLD),
        victim.who,
        successor.who
      )
    }
    // How long it must have stood still by then, if its last refresh was as late as possible.
    const least = this.#timesLie ? this.heartbeat / 5 : this.heartbeat
    const stalled = this.stalled(victim, victim.asked, at)
    if (stalled.total < least) {
      const violation = this.violate(
        'a live holder is not preempted',
        `${name(successor)} was granted the lock though ${name(victim)} had it and stood still for ` +
          `${Math.round(stalled.total / MS)} ms`,
        victim.asked,
        Math.min(victim.until, at + TOLD),
        victim.who,
        successor.who
      )
      violation.early = at - victim.granted < this.stale - this.heartbeat
    } else if (!stalled.frozen) {
      // Nobody froze it: the machine was busy with others.
      this.tally.starved += 1
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
    const late = this.takeovers.some(
      (at) => at >= foreign.granted && at <= successor.granted && !this.#refreshedSince(at)
    )
    if (this.#unlinks.length > 0 || before(this.takeovers) || late) {
      this.tally.voided += 1
      return
    }
    this.violate(
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
    const since = takeover - this.stale + this.heartbeat
    return this.holds.some(
      (hold) => !isForeign(hold) && hold.granted < takeover && hold.until > since
    )
  }

  /** Whether a preempted holder was notified, if it had the time. */
  #told(victim: Hold, successor: Hold): void {
    if (victim.end === 'lost' || victim.end === 'death') return
    const process = processOf(victim.who)
    const awake = this.stalls
      .filter((stall) => stall.process === process && stall.from <= victim.until)
      .reduce((latest, { until }) => Math.max(latest, until), 0)
    const since = Math.max(successor.granted, victim.granted, awake)
    const last = this.events.at(-1)!.at
    if (Math.min(victim.until, last) - since <= TOLD) return
    this.violate(
      'a preempted holder is notified',
      `${name(victim)} did not hear that ${name(successor)} has the lock`,
      victim.asked,
      Math.min(victim.until, last),
      victim.who,
      successor.who
    )
  }
}
