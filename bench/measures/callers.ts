import type { Acquire } from '../adapter.js'
import { now } from '../clock.js'
import { Capped, withCrew } from '../crew.js'
import type { Measure } from '../measure.js'
import { newRoot } from '../scratch.js'

const name = 'callers'
const callers = 10_000
const capMs = { quick: 3_000, full: 20_000 }

interface Called {
  done: number
  ms: number
  overtaken: number
  atOnce: number
}

export const inOneProcess: Measure = {
  name,
  title: '10 000 callers in one process',
  how: 'One process asks 10 000 times for one lock without waiting in between; each caller releases at once. Total time, and how many callers were granted before an earlier one.',
  metrics: [
    { key: 'ms', title: 'total', unit: 'ms', better: 'less' },
    { key: 'overtaken', title: 'out of order', unit: 'callers', better: 'less' }
  ],
  bars: [
    { metric: 'ms', is: '≤', value: 45 },
    { metric: 'overtaken', is: '≤', value: 0 }
  ],
  rounds: 5,
  quickRounds: 1,
  excuse(adapter) {
    if (adapter.processPerLock) return 'would start 10 000 processes'
    if (!adapter.excludesWithinProcess) return 'does not exclude callers of one process'
    return undefined
  },
  async run(adapter, { quick }) {
    const cap = capMs[quick ? 'quick' : 'full']
    return withCrew(adapter, 1, async ([member]) => {
      const argument = { root: newRoot(), cap }
      // Some peers block the event loop, so the coordinator has a clock of its own.
      const called = await member!
        .call<Called>(name, 'call', argument, cap + 2_000)
        .catch((error: unknown) => {
          throw error instanceof Capped ? new Capped(cap, 'event loop blocked') : error
        })
      if (called.done < callers) throw new Capped(cap, `${called.done} of ${callers} callers done`)
      if (called.atOnce > 1) throw new Error(`${called.atOnce} callers held the lock at once`)
      return { ms: called.ms, overtaken: called.overtaken }
    })
  }
}

export const jobs = {
  async call(acquire: Acquire, { root, cap }: { root: string; cap: number }): Promise<Called> {
    // One lock beforehand, so that loading and the first file are not in the total.
    await (
      await acquire(root)
    )()

    const called: Called = { done: 0, ms: 0, overtaken: 0, atOnce: 0 }
    let holding = 0
    let last = -1
    async function caller(number: number): Promise<void> {
      const release = await acquire(root)
      called.atOnce = Math.max(called.atOnce, ++holding)
      if (number < last) called.overtaken++
      last = Math.max(last, number)
      holding--
      await release()
      called.done++
    }
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<void>((resolve) => (timer = setTimeout(resolve, cap)))
    const start = now()
    const all = Promise.all(Array.from({ length: callers }, (_, number) => caller(number)))
    await Promise.race([all, late])
    called.ms = now() - start
    clearTimeout(timer)
    all.catch(() => {})
    return { ...called }
  }
}
