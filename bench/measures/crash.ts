import { setTimeout as sleep } from 'node:timers/promises'

import type { Acquire } from '../adapter.js'
import { now } from '../clock.js'
import { withCrew } from '../crew.js'
import type { Measure } from '../measure.js'
import { newRoot } from '../scratch.js'

const name = 'crash'
const capMs = { quick: 3_000, full: 20_000 }

export const crash: Measure = {
  name,
  title: 'Holder killed',
  how: 'The holder gets SIGKILL while another process waits: from the kill to the next line of JavaScript in the waiter.',
  metrics: [{ key: 'ms', title: 'kill → waiter has it', unit: 'ms', better: 'less' }],
  bars: [{ metric: 'ms', is: '≤', value: 1.1, of: 'fs-ext' }],
  rounds: 7,
  quickRounds: 2,
  async run(adapter, { quick }) {
    const root = newRoot()
    return withCrew(adapter, 2, async ([holder, waiter]) => {
      await holder!.call(name, 'hold', root)
      await waiter!.call(name, 'ask', root)
      await sleep(300)
      const killed = now()
      holder!.crash()
      const granted = await waiter!.call<number>(
        name,
        'granted',
        undefined,
        capMs[quick ? 'quick' : 'full']
      )
      return { ms: granted - killed }
    })
  }
}

let asking: Promise<number>

export const jobs = {
  async hold(acquire: Acquire, root: string): Promise<void> {
    await acquire(root)
  },
  ask(acquire: Acquire, root: string): void {
    asking = (async () => {
      await acquire(root)
      return now()
    })()
  },
  granted: () => asking
}
