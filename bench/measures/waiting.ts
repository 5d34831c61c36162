import { setTimeout as sleep } from 'node:timers/promises'

import type { Acquire } from '../adapter.js'
import { withCrew } from '../crew.js'
import type { Measure } from '../measure.js'
import { processesOfGroup, readings, spent } from '../proc.js'
import { newRoot } from '../scratch.js'

const name = 'waiting'
const waiters = 20

export const waiting: Measure = {
  name,
  title: '20 waiting processes',
  how: '20 processes wait for a lock that another one keeps. What they cost meanwhile, from /proc: voluntary context switches and CPU time of all their threads and children, all 20 together.',
  metrics: [
    { key: 'wakeUps', title: 'wake-ups', unit: '/s', better: 'less' },
    { key: 'cpu', title: 'CPU', unit: 'ms/s', better: 'less' }
  ],
  bars: [
    { metric: 'wakeUps', is: '≤', value: waiters },
    { metric: 'cpu', is: '≤', value: 1 }
  ],
  rounds: 2,
  quickRounds: 1,
  async run(adapter, { quick }) {
    const ms = quick ? 2_000 : 5_000
    const root = newRoot()
    return withCrew(adapter, waiters + 1, async ([holder, ...crew]) => {
      await holder!.call(name, 'hold', root)
      await Promise.all(crew.map((member) => member.call(name, 'ask', root)))
      // By now all have backed off as far as they will, and start-up is over.
      await sleep(1_000)
      const pids = crew.flatMap((member) => processesOfGroup(member.pid))
      const before = readings(pids)
      await sleep(ms)
      const { wakeUps, cpuMs } = spent(before, readings(pids))
      return { wakeUps: (wakeUps / ms) * 1_000, cpu: (cpuMs / ms) * 1_000 }
    })
  }
}

export const jobs = {
  async hold(acquire: Acquire, root: string): Promise<void> {
    await acquire(root)
  },
  ask(acquire: Acquire, root: string): void {
    void acquire(root)
  }
}
