import { stat } from 'node:fs/promises'
import { join } from 'node:path'

import test from 'ava'

import { child } from '../helpers/child.mjs'
import { eventually } from '../helpers/eventually.mjs'
import { mustBlock } from '../helpers/must-block.mjs'
import { needing, unix } from '../helpers/needing.mjs'
import { temporaryRoot } from '../helpers/temporary-root.mjs'

const TERMS = { heartbeatMs: 500, staleMs: 1_500 }

// A sleeping laptop, a paused container and a stopped shell job have this in common.
for (const first of ['holder', 'waiter'] as const) {
  needing(test, unix)(
    `who sleeps together with those who wait keeps the lock: ${first} wakes first`,
    async (t) => {
      const root = await temporaryRoot(t)
      const mtimeMs = async () => (await stat(join(root, '.lock'))).mtimeMs
      const holder = child(t, 'holder', { root, options: TERMS })
      await holder.says('held')
      const waiter = child(t, 'holder', { root, options: TERMS })
      await waiter.says('waiting')
      const held = waiter.says('held')
      for (const asleep of [waiter, holder]) await asleep.freeze()
      const before = await mtimeMs()
      await eventually('they sleep for long', () => Date.now() - before > 2 * TERMS.staleMs)
      for (const awake of first === 'holder' ? [holder, waiter] : [waiter, holder]) awake.thaw()
      await eventually('the holder beats again', async () => (await mtimeMs()) > before)
      await mustBlock(held)
      holder.tell('unlock')
      t.false((await holder.says('unlocked')).lost)
      await held
    }
  )
}
