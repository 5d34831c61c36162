import { setTimeout as sleep } from 'node:timers/promises'

import type { Acquire, Release } from '../adapter.js'
import { now } from '../clock.js'
import { withCrew } from '../crew.js'
import type { Measure } from '../measure.js'
import { newRoot } from '../scratch.js'
import { percentile } from '../statistics.js'

const name = 'hand-over'
const swaps = { quick: 120, full: 300 }
const budgetMs = { quick: 1_500, full: 3_500 }

interface Granted {
  asked: number
  granted: number
}

export const handOver: Measure = {
  name,
  title: 'Hand-over between processes',
  how: "Two processes swap one lock. The waiter asks, 3–11 ms later the holder releases: from just before the holder's release call to the waiter's next line of JavaScript, on the clock that both share. Up to 300 swaps a round.",
  metrics: [
    { key: 'p50', title: 'p50', unit: 'µs', better: 'less' },
    { key: 'p99', title: 'p99', unit: 'µs', better: 'less' }
  ],
  bars: [
    { metric: 'p50', is: '≤', value: 1.3, of: 'fs-ext' },
    { metric: 'p99', is: '≤', value: 1.2, of: 'fs-ext' }
  ],
  rounds: 5,
  quickRounds: 2,
  async run(adapter, { quick }) {
    const mode = quick ? 'quick' : 'full'
    const root = newRoot()
    return withCrew(adapter, 2, async (crew) => {
      let [holder, waiter] = [crew[0]!, crew[1]!]
      await holder.call(name, 'take', root)
      const latencies: number[] = []
      const end = now() + budgetMs[mode]
      for (let swap = 0; swap < swaps[mode] && now() < end; swap++) {
        const waiting = waiter.call<Granted>(name, 'take', root)
        await sleep(2 + Math.random() * 8)
        const released = await holder.call<number>(name, 'release')
        const { asked, granted } = await waiting
        // Too late to have waited: this says nothing about a hand-over.
        if (asked < released) latencies.push((granted - released) * 1_000)
        ;[holder, waiter] = [waiter, holder]
      }
      // The first swaps warm both processes up; slow peers have few.
      const warm = latencies.slice(Math.min(20, latencies.length >> 2))
      return { p50: percentile(warm, 0.5), p99: percentile(warm, 0.99) }
    })
  }
}

let held: Release

export const jobs = {
  async take(acquire: Acquire, root: string): Promise<Granted> {
    const asked = now()
    held = await acquire(root)
    return { granted: now(), asked }
  },
  /** The pauses keep the coordinator's messages, and the work they cause, out of the measurement. */
  async release(): Promise<number> {
    await sleep(1)
    const before = now()
    await held()
    await sleep(1)
    return before
  }
}
