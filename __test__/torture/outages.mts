import type { Event } from './log.mjs'
import type { Span } from './holds.mjs'

/** A time in which the processes of a place could not talk to the server, or only slowly. */
export interface Outage extends Span {
  /** Missing: of all places. */
  place?: number
  what: 'link stop' | 'link cut' | 'link slow' | 'restart' | 'stop member'
}

export function outages(events: readonly Event[]): Outage[] {
  const found: Outage[] = []
  const open = new Map<number, Outage>()
  for (const event of events) {
    switch (event.what) {
      case 'link stop':
      case 'link cut':
      case 'link slow': {
        const { what, at: from, place } = event
        const outage: Outage = { what, from, until: Infinity, place }
        open.set(place, outage)
        found.push(outage)
        break
      }
      case 'link restore': {
        const outage = open.get(event.place)
        if (outage) outage.until = event.at
        open.delete(event.place)
        break
      }
      case 'restart':
      case 'stop member':
        found.push({ what: event.what, from: event.from, until: event.at })
        break
    }
  }
  return found
}

/** The place of a process or of an actor in it. */
export function placeOf(who: string): number {
  return Number(/^p(\d+)\./.exec(who)?.[1])
}

/** Whether two spans meet. */
export function overlap(one: Span, other: Span): boolean {
  return one.from <= other.until && other.from <= one.until
}

/** The longest time inside `within` that spans cover, with gaps of up to `bridge` between them. */
export function longest(spans: readonly Span[], within: Span, bridge: number): number {
  let [most, from, until] = [0, -Infinity, -Infinity]
  for (const span of spans.toSorted((one, other) => one.from - other.from)) {
    const begins = Math.max(span.from, within.from)
    const ends = Math.min(span.until, within.until)
    if (ends <= begins) continue
    if (begins - until > bridge) from = begins
    until = Math.max(until, ends)
    most = Math.max(most, until - from)
  }
  return most
}
