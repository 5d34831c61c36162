import type { Acquire } from '../adapter.js'
import { isFloor } from '../adapters/floor.js'
import { withCrew } from '../crew.js'
import { cycle, windowOf, type Cycled, type Window } from '../cycle.js'
import type { Measure } from '../measure.js'
import { newRoot } from '../scratch.js'

const name = 'free'

interface Turn {
  root: string
  window: Window
}

export const free: Measure = {
  name,
  title: 'Free lock',
  how: 'One process takes and releases a lock that nobody else wants, one pair after the other.',
  metrics: [{ key: 'pairs', title: 'acquire + release', unit: 'pairs/s', better: 'more' }],
  bars: [
    {
      metric: 'pairs',
      is: '≥',
      value: 0.85,
      of: 'fs-native-extensions',
      by: 'rootlock (openRoot)'
    },
    { metric: 'pairs', is: '≥', value: 0.65, of: 'fs-native-extensions' },
    { metric: 'pairs', is: '≥', value: 0.9, of: "C, the seed's calls" }
  ],
  rounds: 5,
  quickRounds: 3,
  async run(adapter, { quick }) {
    const ms = quick ? 300 : 700
    const root = newRoot()
    if (isFloor(adapter)) {
      const { pairs, ms: took } = await adapter.pairs(root, ms / 1_000)
      return { pairs: (pairs / took) * 1_000 }
    }
    return withCrew(adapter, 1, async ([member]) => {
      const turn: Turn = { root, window: windowOf(ms) }
      const { ops } = await member!.call<Cycled>(name, 'turn', turn)
      return { pairs: (ops / ms) * 1_000 }
    })
  }
}

export const jobs = {
  turn: (acquire: Acquire, { root, window }: Turn) => cycle(acquire, root, window)
}
