import test from 'ava'

import { child } from '../helpers/child.mjs'
import { inTime } from '../helpers/eventually.mjs'
import { waiter } from '../helpers/locks.mjs'
import { linux, needing } from '../helpers/needing.mjs'
import { temporaryRoot } from '../helpers/temporary-root.mjs'

const TERMS = { heartbeatMs: 100, staleMs: 1_000 }
const LONG = 4 * TERMS.staleMs

for (const [how, shared, command, argument] of [
  ['a busy loop', false, 'spin', LONG],
  ['Atomics.wait', true, 'sleep', LONG],
  ['a child that is waited for synchronously', false, 'run', `sleep ${LONG / 1_000}`]
] as const) {
  needing(test, linux)(
    `a holder whose event loop is blocked is never preempted: ${how}`,
    async (t) => {
      const root = await temporaryRoot(t)
      const holder = child(t, 'holder', { root, shared, options: TERMS })
      await holder.says('held')
      holder.tell(command, argument)
      await holder.says('blocking')
      const { lock } = waiter(t, root, TERMS)
      const back = holder.says('back').then(({ lost }) => {
        t.false(lost)
        return 'back'
      })
      t.is(await Promise.race([back, lock.then(() => 'preempted')]), 'back')
      holder.tell('unlock')
      t.false((await holder.says('unlocked')).lost)
      await inTime('the lock is granted', lock)
    }
  )
}
