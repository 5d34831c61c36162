import { setTimeout as sleep } from 'node:timers/promises'

import type { Acquire } from '../adapter.js'
import { now } from '../clock.js'
import { withCrew } from '../crew.js'
import type { Measure } from '../measure.js'
import { newRoot } from '../scratch.js'
import { percentile } from '../statistics.js'

const name = 'abort'
const aborts = { quick: 50, full: 200 }

export const abort: Measure = {
  name,
  title: 'Abort',
  how: 'Another process holds the lock; a caller has waited 5 ms when its signal aborts: from `abort()` to the rejection, up to 200 times a round.',
  metrics: [
    { key: 'p50', title: 'p50', unit: 'ms', better: 'less' },
    { key: 'p99', title: 'p99', unit: 'ms', better: 'less' }
  ],
  bars: [
    { metric: 'p50', is: '≤', value: 0.1 },
    { metric: 'p99', is: '≤', value: 1 }
  ],
  rounds: 3,
  quickRounds: 1,
  excuse: (adapter) => (adapter.abortable ? undefined : 'a wait cannot be ended'),
  async run(adapter, { quick }) {
    const root = newRoot()
    return withCrew(adapter, 2, async ([holder, waiter]) => {
      await holder!.call(name, 'hold', root)
      const argument = { root, count: aborts[quick ? 'quick' : 'full'] }
      const latencies = await waiter!.call<number[]>(name, 'abort', argument)
      return { p50: percentile(latencies, 0.5), p99: percentile(latencies, 0.99) }
    })
  }
}

export const jobs = {
  async hold(acquire: Acquire, root: string): Promise<void> {
    await acquire(root)
  },
  async abort(
    acquire: Acquire,
    { root, count }: { root: string; count: number }
  ): Promise<number[]> {
    const latencies: number[] = []
    for (let i = 0; i < count; i++) {
      const controller = new AbortController()
      const rejected = (async () => {
        try {
          await acquire(root, controller.signal)
        } catch {
          return now()
        }
        throw new Error('was granted a lock that somebody else holds')
      })()
      await sleep(5)
      const aborted = now()
      controller.abort()
      latencies.push((await rejected) - aborted)
    }
    return latencies
  }
}
