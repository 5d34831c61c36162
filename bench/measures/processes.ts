import type { Acquire } from '../adapter.js'
import { withCrew } from '../crew.js'
import { cycle, windowOf, type Cycled, type Window } from '../cycle.js'
import type { Bar, Measure } from '../measure.js'
import { newRoot } from '../scratch.js'
import { jain, sum } from '../statistics.js'

const job = 'processes'

interface Turn {
  root: string
  window: Window
}

function processes(
  count: number,
  rounds: number,
  quickRounds: number,
  bars: readonly Bar[]
): Measure {
  return {
    name: `processes-${count}`,
    title: `${count} processes, no hold`,
    how: `${count} processes take and release one lock as fast as they can, doing nothing while they hold it.`,
    metrics: [
      { key: 'ops', title: 'all together', unit: 'ops/s', better: 'more' },
      { key: 'jain', title: 'Jain fairness', unit: '', better: 'more' }
    ],
    bars,
    rounds,
    quickRounds,
    async run(adapter, { quick }) {
      const ms = (quick ? 500 : 1_500) * (count > 16 ? 2 : 1)
      const root = newRoot()
      return withCrew(adapter, count, async (crew) => {
        const turn: Turn = { root, window: windowOf(ms, count) }
        const turns = await Promise.all(
          crew.map((member) => member.call<Cycled>(job, 'turn', turn))
        )
        const ops = turns.map((turned) => turned.ops)
        return { ops: (sum(ops) / ms) * 1_000, jain: jain(ops) }
      })
    }
  }
}

/** The bars are at 4 and 64; the other counts are for the picture, where the free lock is the first point. */
export const byProcesses: readonly Measure[] = [
  processes(2, 1, 0, []),
  processes(4, 5, 1, [{ metric: 'ops', is: '≥', value: 0.9, of: 'fs-native-extensions' }]),
  processes(16, 1, 0, []),
  processes(64, 3, 1, [
    { metric: 'ops', is: '≥', value: 0.9, of: 'fs-native-extensions' },
    { metric: 'jain', is: '≥', value: 0.95 }
  ])
]

export const jobs = {
  turn: (acquire: Acquire, { root, window }: Turn) => cycle(acquire, root, window)
}
