import type { Sample } from './measure.js'

/** How one round of one contender ended. */
export type Round = { sample: Sample } | { capped: string } | { failed: string }

export interface Entry {
  adapter: string
  /** Why it took no part. */
  excuse?: string
  /** By number of the round, so that contenders can be compared within one. */
  rounds: Round[]
}

export interface Result {
  measure: string
  entries: Entry[]
}

export interface Contender {
  name: string
  how: string
  version: string
  /** Why it couldn't be loaded on this machine. */
  absent?: string
}

/** All results of a run; the report is made of nothing else. */
export interface Results {
  quick: boolean
  startedAt: string
  seconds: number
  machine: Record<string, string>
  contenders: Contender[]
  results: Result[]
}

/** The values of a metric, one per round that has one. */
export function values(entry: Entry | undefined, metric: string): number[] {
  return (entry?.rounds ?? [])
    .map((round) => ('sample' in round ? (round.sample[metric] ?? NaN) : NaN))
    .filter((value) => !Number.isNaN(value))
}

/** Contenders that lost an update in any measure that counts them: their other numbers are not those of a lock. */
export function unsafe(results: readonly Result[]): Map<string, number> {
  const lost = new Map<string, number>()
  for (const entry of results.flatMap((result) => result.entries)) {
    for (const value of values(entry, 'lost')) {
      if (value > 0) lost.set(entry.adapter, (lost.get(entry.adapter) ?? 0) + value)
    }
  }
  return lost
}

/** Why there is no number, or a remark on it. */
export function remark(entry: Entry): string {
  if (entry.excuse) return `no: ${entry.excuse}`
  const capped = entry.rounds.find((round) => 'capped' in round)
  if (capped) return capped.capped
  const failures = entry.rounds.filter((round) => 'failed' in round)
  const first = failures[0]
  return first ? `failed in ${failures.length} of ${entry.rounds.length}: ${first.failed}` : ''
}
