import type { Tally, Violation } from './checker.mjs'
import { processOf } from './holds.mjs'
import type { Event } from './log.mjs'
import type { Outcome } from './round.mjs'

const DISTURBANCES: ReadonlySet<Event['what']> = new Set<Event['what']>([
  'kill',
  'terminate',
  'freeze',
  'unlink',
  'replace',
  'truncate',
  'touch',
  'scribble',
  'rename',
  'step clock',
  'link stop',
  'link cut',
  'link slow',
  'restart',
  'end session',
  'stop member'
])

/** The totals of all rounds. */
export class Sum {
  rounds = 0
  violations = 0
  readonly disturbances: Record<string, number> = {}
  tally: Partial<Tally> = {}

  add({ tally, violations, events }: Outcome): void {
    this.rounds += 1
    this.violations += violations.length
    for (const [key, value] of Object.entries(tally) as [keyof Tally, number][]) {
      const before = this.tally[key] ?? 0
      this.tally[key] = key === 'longestWaitMs' ? Math.max(before, value) : before + value
    }
    const count = (what: string) => {
      this.disturbances[what] = (this.disturbances[what] ?? 0) + 1
    }
    for (const { what, who } of events) {
      if (DISTURBANCES.has(what)) count(what)
      if (what === 'granted' && who === 'flock') count('foreign lock')
    }
  }

  toString(): string {
    return [
      `${this.rounds} rounds: ${list(this.tally)}`,
      `disturbances: ${list(this.disturbances) || 'none'}`,
      `${this.violations} violations`
    ].join('\n')
  }
}

function list(counts: object): string {
  return Object.entries(counts)
    .map(([what, count]) => `${what} ${count}`)
    .join(', ')
}

export function line({ round, tally, violations }: Outcome): string {
  const { number, climate, terms, places } = round
  const actors = places.reduce((sum, { threads }) => sum + Math.max(1, threads), 0)
  const bad = violations.length === 0 ? '' : `  ${violations.length} VIOLATIONS`
  return (
    `round ${number} ${climate} (${terms.heartbeatMs}/${terms.staleMs} ms, ${actors} actors): ` +
    `${tally.grants} grants, ${tally.takeovers} takeovers, ${tally.lost} lost, ` +
    `longest wait ${tally.longestWaitMs} ms${bad}`
  )
}

/** The events that concern a violation, in order. */
export function timeline({ parties, from, until }: Violation, events: readonly Event[]): string[] {
  const processes = new Set(parties.map(processOf))
  const concerns = (event: Event) => {
    if ('target' in event) return processes.has(processOf(event.target))
    if (event.who === 'driver') return true
    if (event.who === 'store') return 'by' in event && parties.includes(String(event.by))
    return parties.includes(event.who) || (event.what === 'gap' && processes.has(event.who))
  }
  return events
    .filter((event) => event.at >= from && event.at <= until && concerns(event))
    .map(({ at, who, what, ...more }) => {
      const time = ((at - from) / 1_000).toFixed(3).padStart(10)
      const details = Object.entries(more)
        .filter(([key]) => key !== 'at')
        .map(
          ([key, value]) =>
            ` ${key}=${key === 'from' && what === 'gap' ? (Number(value) - from) / 1_000 : value}`
        )
      return `${time} ms  ${who.padEnd(12)} ${what}${details.join('')}`
    })
}

/** The report of violations; `again` is the command that replays the round. */
export function story(outcome: Outcome, again: string): string {
  const { round, violations, events } = outcome
  const what = violations
    .slice(0, 5)
    .flatMap((violation) => [
      `Violated: ${violation.claim}. ${violation.what}.`,
      ...timeline(violation, events),
      ''
    ])
  if (violations.length > 5) what.push(`… and ${violations.length - 5} more.`)
  return [
    ...what,
    `Seed ${round.seed}, round ${round.number} (${round.climate}). The same schedule again: ${again}`
  ].join('\n')
}
