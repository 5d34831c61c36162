import type { Acquire } from '../adapter.js'
import { withCrew } from '../crew.js'
import { cycle, windowOf, type Cycled, type Window } from '../cycle.js'
import type { Measure } from '../measure.js'
import { newRoot } from '../scratch.js'
import { percentile } from '../statistics.js'

const name = 'readers'
const readers = 6
const readMs = 5
const writeMs = 1

interface Turn {
  root: string
  window: Window
}

export const writerBesideReaders: Measure = {
  name,
  title: 'A writer beside 6 readers',
  how: 'Six processes read without a gap: each holds the shared lock for 5 ms and asks again at once. One process does the same with the exclusive lock, for 1 ms. A wait that is not over at the end counts as long as it took until then.',
  metrics: [
    { key: 'p50', title: 'writer, wait p50', unit: 'ms', better: 'less' },
    { key: 'longest', title: 'writer, longest wait', unit: 'ms', better: 'less' },
    { key: 'writes', title: 'writes', unit: 'ops/s', better: 'more' },
    { key: 'reads', title: 'reads, all together', unit: 'ops/s', better: 'more' }
  ],
  // Twice what a reader that has just begun keeps it waiting.
  bars: [{ metric: 'p50', is: '≤', value: 2 * readMs }],
  rounds: 5,
  quickRounds: 1,
  excuse: (adapter) =>
    adapter.shares ? undefined : 'has no shared lock, or none that this benchmark uses',
  async run(adapter, { quick }) {
    const ms = quick ? 1_500 : 2_000
    const turn: Turn = { root: newRoot(), window: windowOf(ms, readers + 1) }
    return withCrew(adapter, readers + 1, async ([writer, ...others]) => {
      const reading = others.map((member) => member.call<Cycled>(name, 'read', turn))
      const written = await writer!.call<Cycled>(name, 'write', turn)
      const read = await Promise.all(reading)
      return {
        p50: percentile(written.waits, 0.5),
        longest: Math.max(...written.waits),
        writes: (written.ops / ms) * 1_000,
        reads: (read.reduce((sum, { ops }) => sum + ops, 0) / ms) * 1_000
      }
    })
  }
}

const never = new Int32Array(new SharedArrayBuffer(4))

const holds = (ms: number) => ({ waits: true, work: () => void Atomics.wait(never, 0, 0, ms) })

export const jobs = {
  read: (acquire: Acquire, { root, window }: Turn) =>
    cycle(acquire.shared!, root, window, holds(readMs)),
  write: (acquire: Acquire, { root, window }: Turn) => cycle(acquire, root, window, holds(writeMs))
}
