import { mkdirSync } from 'node:fs'
import { stat } from 'node:fs/promises'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

import type { Acquire, Release } from '../adapter.js'
import { withCrew } from '../crew.js'
import type { Measure } from '../measure.js'
import { threads } from '../proc.js'
import { newRoot } from '../scratch.js'

const name = 'held'
const locks = 5_000

export const held: Measure = {
  name,
  title: '5 000 held locks',
  how: 'One process holds the locks of 5 000 directories: growth of its memory (RSS after a garbage collection) and threads, then its CPU time over 21 s, which is two heartbeats at the default of 10 s.',
  metrics: [
    { key: 'kib', title: 'memory per lock', unit: 'KiB', better: 'less' },
    { key: 'threads', title: 'extra threads', unit: '', better: 'less' },
    { key: 'cpu', title: 'CPU', unit: 'ms/s', better: 'less' }
  ],
  bars: [
    { metric: 'kib', is: '≤', value: 2.5 },
    { metric: 'threads', is: '≤', value: 1 },
    { metric: 'cpu', is: '≤', value: 2.5 }
  ],
  rounds: 2,
  quickRounds: 1,
  together: true,
  excuse: (adapter) => (adapter.processPerLock ? 'would start 5 000 processes' : undefined),
  async run(adapter, { quick }) {
    const ms = quick ? 10_500 : 21_000
    const root = newRoot()
    const roots = Array.from({ length: locks }, (_, number) => path.join(root, String(number)))
    for (const one of roots) mkdirSync(one)
    return withCrew(adapter, 1, async ([member]) => {
      const before = await member!.call<Kept>(name, 'warmUp', roots)
      const after = await member!.call<Kept>(name, 'hold', undefined, 120_000)
      const cpuMs = await member!.call<number>(name, 'keep', ms)
      return {
        kib: (after.rss - before.rss) / 1_024 / locks,
        threads: after.threads - before.threads,
        cpu: (cpuMs / ms) * 1_000
      }
    })
  }
}

interface Kept {
  rss: number
  threads: number
}

async function kept(): Promise<Kept> {
  // Until nothing more comes free: a collection leaves work to finalizers and to other threads.
  let rss = Infinity
  for (let before = rss; rss === Infinity || rss < before;) {
    before = rss
    globalThis.gc?.()
    await sleep(100)
    rss = process.memoryUsage.rss()
  }
  return { rss, threads: threads(process.pid) }
}

let roots: readonly string[]
const releases: Release[] = []

const cpuMs = () => {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1_000
}

export const jobs = {
  async warmUp(acquire: Acquire, all: readonly string[]): Promise<Kept> {
    roots = all
    // libuv's pool starts with the first asynchronous file call, whoever makes it: not an extra thread.
    await stat(roots[0]!)
    const before = await kept()
    for (const root of roots.slice(0, 50)) await (await acquire(root))()
    return { ...(await kept()), threads: before.threads }
  },
  async hold(acquire: Acquire): Promise<Kept> {
    for (const root of roots) releases.push(await acquire(root))
    return kept()
  },
  /** CPU time of the whole process, also of threads that have ended; read between two timers, without messages. */
  async keep(_: Acquire, ms: number): Promise<number> {
    await sleep(200)
    const before = cpuMs()
    await sleep(ms)
    return cpuMs() - before
  }
}
