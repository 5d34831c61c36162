import test from 'ava'

import { child } from '../helpers/child.mjs'
import { needing, linux } from '../helpers/needing.mjs'
import { temporaryRoot } from '../helpers/temporary-root.mjs'

/** Nobody is preempted during a test: a lock is acquired only when it is free. */
const options = { heartbeatMs: 200_000, staleMs: 600_000 }

/** `first` holds the lock; the others began to wait for it in their order. */
async function waiting(t: Parameters<typeof child>[0], count: number) {
  const root = await temporaryRoot(t)
  const first = child(t, 'holder', { root, options })
  await first.says('held')
  const waiters = []
  for (let index = 0; index < count; index++) {
    const waiter = child(t, 'holder', { root, options })
    await waiter.says('waiting')
    waiters.push(waiter)
  }
  return { first, waiters }
}

for (const [what, end] of [
  ['stopped', 'freeze'],
  ['killed', 'kill']
] as const) {
  needing(test, linux)(`a waiter that is ${what} holds nobody up`, async (t) => {
    const { first, waiters } = await waiting(t, 4)
    const [ahead, ...others] = waiters
    await ahead![end]()
    first.tell('unlock')
    // In any order: that is not what this test is about.
    await Promise.all(
      others.map(async (other) => {
        await other.says('held')
        other.tell('unlock')
        await other.says('unlocked')
      })
    )
    t.false(ahead!.hasSaid('held'))
  })
}
