import { utimesSync } from 'node:fs'
import { stat, utimes } from 'node:fs/promises'
import { join } from 'node:path'

import test from 'ava'

import { child } from '../helpers/child.mjs'
import { eventually, inTime } from '../helpers/eventually.mjs'
import { hold, QUICK, waiter } from '../helpers/locks.mjs'
import { mustBlock } from '../helpers/must-block.mjs'
import { needing, unix } from '../helpers/needing.mjs'
import { temporaryRoot } from '../helpers/temporary-root.mjs'

/** A beat may be late by a fifth of a heartbeat, which has to be long on a busy machine. */
const TERMS = { heartbeatMs: 1_500, staleMs: 4_500 }

for (const year of [1970, 2020, 2100]) {
  const date = new Date(`${year}-06-01`)

  test(`a live holder is not preempted when the file's time is set to ${year}`, async (t) => {
    const root = await temporaryRoot(t)
    const file = join(root, '.lock')
    const holder = child(t, 'holder', { root, options: TERMS })
    await holder.says('held')
    const { lock } = waiter(t, root, TERMS)
    for (let round = 0; round < 3; round++) {
      await utimes(file, date, date)
      await eventually(
        'the holder beats',
        async () => (await stat(file)).mtimeMs !== date.getTime()
      )
      await mustBlock(lock)
    }
    holder.tell('unlock')
    t.false((await holder.says('unlocked')).lost)
    await inTime('the lock is granted', lock)
  })

  test(`a live holder is not preempted when the file's time is set to ${year} again and again`, async (t) => {
    const root = await temporaryRoot(t)
    const file = join(root, '.lock')
    const holder = child(t, 'holder', { root, options: QUICK })
    await holder.says('held')
    const { lock } = waiter(t, root, QUICK)
    const begun = performance.now()
    const setting = setInterval(() => utimesSync(file, date, date), 5)
    t.teardown(() => clearInterval(setting))
    await eventually('it is long', () => performance.now() - begun > 3 * QUICK.staleMs)
    clearInterval(setting)
    await mustBlock(lock)
    holder.tell('unlock')
    t.false((await holder.says('unlocked')).lost)
    await inTime('the lock is granted', lock)
  })

  needing(test, unix)(
    `a frozen holder is taken over though somebody set the file's time to ${year}`,
    async (t) => {
      const root = await temporaryRoot(t)
      const holder = child(t, 'holder', { root, options: QUICK })
      const { token } = await holder.says('held')
      await holder.freeze(root)
      await utimes(join(root, '.lock'), date, date)
      t.true((await hold(t, root, QUICK)).token > token)
    }
  )
}

test('a very old lock file that is not locked is a free lock', async (t) => {
  const root = await temporaryRoot(t)
  const file = join(root, '.lock')
  const long = new Date('2020-01-01')
  const warned: string[] = []
  const logger = { warn: (message: string) => warned.push(message), error: () => {} }
  const before = await hold(t, root).then(async (unlock) => {
    await unlock()
    await utimes(file, long, long)
    return stat(file)
  })
  await hold(t, root, { logger, wait: false })
  const after = await stat(file)
  t.is(after.ino, before.ino)
  t.true(after.mtimeMs > long.getTime())
  t.deepEqual(warned, [])
})
