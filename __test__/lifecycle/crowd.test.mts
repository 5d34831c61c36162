import test from 'ava'

import { child } from '../helpers/child.mjs'
import { hold } from '../helpers/locks.mjs'
import { temporaryRoot } from '../helpers/temporary-root.mjs'

const COUNT = 100_000

for (const [where, holder] of [
  ['main', 'themselves'],
  ['main', 'another process'],
  ['worker', 'themselves'],
  ['worker', 'another environment'],
  ['worker', 'another process']
] as const) {
  test.serial(`${COUNT} waiters end with their ${where}; the holder is ${holder}`, async (t) => {
    const root = await temporaryRoot(t)
    const unlock = holder === 'another process' ? await hold(t, root) : undefined
    const crowd = child(t, 'crowd', { root, count: COUNT, where, holder })
    await crowd.says('waiting')
    // With another process's lock, grant and end meet.
    crowd.tell('end')
    await unlock?.()
    if (where === 'worker') await crowd.says('ended')
    t.deepEqual(await crowd.ends(), { code: 0, signal: null }, crowd.printed)
    await hold(t, root, { wait: false })
  })
}
