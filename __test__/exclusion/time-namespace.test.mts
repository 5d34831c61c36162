import { stat } from 'node:fs/promises'
import { join } from 'node:path'

import test from 'ava'

import { child } from '../helpers/child.mjs'
import { eventually } from '../helpers/eventually.mjs'
import { QUICK } from '../helpers/locks.mjs'
import { mustBlock } from '../helpers/must-block.mjs'
import { needing, tool } from '../helpers/needing.mjs'
import { temporaryRoot } from '../helpers/temporary-root.mjs'

const FAR = ['unshare', '--time', '--boottime', '100000', '--fork', '--kill-child']

const withTime = needing(test, tool('unshare', ...FAR.slice(1), 'true'))

for (const [whose, far] of [
  ['holder', true],
  ['waiter', false]
] as const) {
  withTime(
    `a clock that counts from another boot is no proof of death: the ${whose}'s`,
    async (t) => {
      const root = await temporaryRoot(t)
      const holder = child(t, 'holder', { root, options: QUICK }, far ? FAR : [])
      await holder.says('held')
      const other = child(t, 'holder', { root, options: QUICK }, far ? [] : FAR)
      await other.says('waiting')
      const held = other.says('held')
      // Proof needs no watch: a contender that believed it would not wait for so many beats.
      const beats = new Set<number>()
      await eventually('the holder beats', async () => {
        beats.add((await stat(join(root, '.lock'))).mtimeMs)
        return beats.size > 4 || other.hasSaid('held')
      })
      await mustBlock(held)
      holder.tell('unlock')
      t.false((await holder.says('unlocked')).lost)
      await held
    }
  )
}
