import { setTimeout as sleep } from 'node:timers/promises'

import type { Acquire } from './adapter.js'
import { now } from './clock.js'

/** What is counted, in milliseconds of the shared clock. */
export interface Window {
  from: number
  to: number
}

export interface Cycled {
  /** Pairs of acquire and release that ended inside the window. */
  ops: number
  /** How long each acquire inside the window took, in ms; only with `waits: true`. */
  waits: number[]
}

const warmUp = 100
const patience = 30

/** A window that starts once `processes` of them have had time to receive it and to warm up. */
export function windowOf(ms: number, processes = 1): Window {
  const from = now() + warmUp + 50 + 3 * processes
  return { from, to: from + ms }
}

/**
 * Acquires and releases the lock again and again until the window ends.
 * Does not wait for a caller that is still waiting then: its wait so far is counted, so that starvation can't hide.
 */
export async function cycle(
  acquire: Acquire,
  root: string,
  window: Window,
  { waits: withWaits = false, work }: { waits?: boolean; work?: () => void } = {}
): Promise<Cycled> {
  const result: Cycled = { ops: 0, waits: [] }
  let asked = 0
  let over = false

  async function loop(): Promise<void> {
    await sleep(Math.max(0, window.from - warmUp - now()))
    for (;;) {
      asked = now()
      if (asked >= window.to) return
      // Not simply `await`: a synchronous peer must not pay for microtasks that it doesn't need.
      const taken = acquire(root)
      const release = typeof taken === 'function' ? taken : await taken
      if (!over) {
        if (withWaits && asked >= window.from) result.waits.push(now() - asked)
        work?.()
      }
      const released = release()
      if (released) await released
      if (over) return
      if (asked >= window.from && now() < window.to) result.ops++
    }
  }

  const ended = new AbortController()
  const running = loop().finally(() => ended.abort())
  const overtime = sleep(window.to - now() + patience, 'late', { signal: ended.signal }).catch(
    () => 'in time'
  )
  // A failure of the loop surfaces here, an abort of the timer doesn't.
  if ((await Promise.race([running, overtime])) === 'late') {
    over = true
    running.catch(() => {})
    if (withWaits) result.waits.push(window.to - Math.max(asked, window.from))
  }
  return result
}
