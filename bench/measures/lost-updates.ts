import type { Acquire } from '../adapter.js'
import { Counter, newCounter } from '../counter.js'
import { withCrew } from '../crew.js'
import { cycle, windowOf, type Window } from '../cycle.js'
import type { Measure } from '../measure.js'
import { newRoot } from '../scratch.js'
import { sum } from '../statistics.js'

const name = 'lost-updates'
const processes = 4

interface Turn {
  root: string
  window: Window
}

export const lostUpdates: Measure = {
  name,
  title: 'Lost updates',
  how: '4 processes count in one file, as fast as they can, each reading and writing the number under the lock. Afterwards the file must say how often they did.',
  metrics: [
    { key: 'lost', title: 'lost updates', unit: '', better: 'less' },
    { key: 'updates', title: 'of', unit: 'updates', better: 'more' }
  ],
  bars: [{ metric: 'lost', is: '≤', value: 0 }],
  rounds: 3,
  quickRounds: 1,
  async run(adapter, { quick }) {
    const ms = quick ? 500 : 1_500
    const root = newRoot()
    newCounter(root)
    return withCrew(adapter, processes, async (crew) => {
      const turn: Turn = { root, window: windowOf(ms, processes) }
      const updates = sum(
        await Promise.all(crew.map((member) => member.call<number>(name, 'turn', turn)))
      )
      return { lost: updates - new Counter(root).read(), updates }
    })
  }
}

export const jobs = {
  async turn(acquire: Acquire, { root, window }: Turn): Promise<number> {
    const counter = new Counter(root)
    await cycle(acquire, root, window, { work: () => counter.increment() })
    return counter.increments
  }
}
