import type { Acquire } from '../adapter.js'
import { Counter, newCounter } from '../counter.js'
import { withCrew } from '../crew.js'
import { cycle, windowOf, type Cycled, type Window } from '../cycle.js'
import { bestFairPeer, fair, type Measure } from '../measure.js'
import { newRoot } from '../scratch.js'
import { jain, percentile, sum } from '../statistics.js'

const name = 'hold'
const processes = 8
const holdMs = 1

interface Turn {
  root: string
  window: Window
}
interface Turned extends Cycled {
  increments: number
}

export const hold: Measure = {
  name,
  title: '8 processes, 1 ms hold',
  how: '8 processes take one lock again and again; the holder reads a shared counter, sleeps 1 ms, writes it one higher. Waits that are not over at the end count as long as they took until then.',
  metrics: [
    { key: 'ops', title: 'all together', unit: 'ops/s', better: 'more' },
    { key: 'jain', title: 'Jain fairness', unit: '', better: 'more' },
    { key: 'p50', title: 'wait p50', unit: 'ms', better: 'less' },
    { key: 'p99', title: 'wait p99', unit: 'ms', better: 'less' },
    { key: 'longest', title: 'longest wait', unit: 'ms', better: 'less' },
    { key: 'lost', title: 'lost updates', unit: '', better: 'less' }
  ],
  bars: [
    { metric: 'ops', is: '≥', value: 0.98, of: bestFairPeer },
    { metric: 'jain', is: '≥', value: fair },
    { metric: 'p99', is: '≤', value: 1.1, of: 'fs-ext' },
    { metric: 'lost', is: '≤', value: 0 }
  ],
  rounds: 5,
  quickRounds: 1,
  async run(adapter, { quick }) {
    const ms = quick ? 1_500 : 2_000
    const root = newRoot()
    newCounter(root)
    return withCrew(adapter, processes, async (crew) => {
      const turn: Turn = { root, window: windowOf(ms, processes) }
      const turns = await Promise.all(crew.map((member) => member.call<Turned>(name, 'turn', turn)))
      const ops = turns.map((turned) => turned.ops)
      const waits = turns.flatMap((turned) => turned.waits)
      return {
        ops: (sum(ops) / ms) * 1_000,
        jain: jain(ops),
        p50: percentile(waits, 0.5),
        p99: percentile(waits, 0.99),
        longest: Math.max(...waits),
        lost: sum(turns.map((turned) => turned.increments)) - new Counter(root).read()
      }
    })
  }
}

const never = new Int32Array(new SharedArrayBuffer(4))
const sleepHere = () => void Atomics.wait(never, 0, 0, holdMs)

export const jobs = {
  async turn(acquire: Acquire, { root, window }: Turn): Promise<Turned> {
    const counter = new Counter(root)
    const work = () => counter.increment(sleepHere)
    const cycled = await cycle(acquire, root, window, { waits: true, work })
    return { ...cycled, increments: counter.increments }
  }
}
