import type { Adapter } from './adapter.js'
import { Capped } from './crew.js'
import type { Effort, Measure } from './measure.js'
import type { Entry, Result, Round } from './results.js'

export interface Plan extends Effort {
  /** Overrides the measure's own number. */
  rounds?: number
  progress(text: string): void
}

async function round(measure: Measure, adapter: Adapter, plan: Plan): Promise<Round> {
  try {
    return { sample: await measure.run(adapter, plan) }
  } catch (error) {
    if (error instanceof Capped) return { capped: error.message }
    return { failed: error instanceof Error ? error.message : String(error) }
  }
}

/** Rotates the order, so that nobody is always first, or always after the same one. */
function rotated<T>(items: readonly T[], by: number): T[] {
  const first = items.length ? by % items.length : 0
  return [...items.slice(first), ...items.slice(0, first)]
}

/** The contenders of a measure; the second use of an adapter matters for the free lock only. */
const takesPart = (measure: Measure, adapter: Adapter) =>
  measure.name === 'free' || !adapter.variant

/** A contender that took longer than this in one round, or isn't compared with closely, runs less often. */
const patienceMs = 8_000
const roundsOfOthers = 2

/** Runs all rounds, and in every round one contender after the other. */
export async function run(
  measure: Measure,
  adapters: readonly Adapter[],
  plan: Plan
): Promise<Result> {
  const entries = adapters
    .filter((adapter) => takesPart(measure, adapter))
    .map((adapter) => {
      const entry: Entry = { adapter: adapter.name, rounds: [] }
      const excuse = measure.excuse?.(adapter)
      return { adapter, entry: excuse === undefined ? entry : { ...entry, excuse } }
    })
  const tooSlow = new Set<Adapter>()
  const rounds = plan.rounds ?? (plan.quick ? Math.max(1, measure.quickRounds) : measure.rounds)

  for (let number = 0; number < rounds; number++) {
    const running = entries.filter(
      ({ adapter, entry }) =>
        !entry.excuse &&
        !tooSlow.has(adapter) &&
        (adapter.daily || plan.rounds || number < roundsOfOthers)
    )
    const one = async ({ adapter, entry }: (typeof entries)[number]) => {
      plan.progress(`${measure.title}, round ${number + 1} of ${rounds}: ${adapter.name}`)
      const start = performance.now()
      entry.rounds[number] = await round(measure, adapter, plan)
      if (!measure.together && performance.now() - start > patienceMs) tooSlow.add(adapter)
    }
    if (measure.together) await Promise.all(running.map(one))
    else for (const contender of rotated(running, number)) await one(contender)
  }
  return { measure: measure.name, entries: entries.map(({ entry }) => entry) }
}
