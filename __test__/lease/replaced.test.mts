import { mkdir, readdir, rename, rm, stat, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

import test from 'ava'
import { LockError, type UnlockFunc } from 'rootlock'

import { child } from '../helpers/child.mjs'
import { eventually, inTime } from '../helpers/eventually.mjs'
import { hold, QUICK, waiter } from '../helpers/locks.mjs'
import { mustBlock } from '../helpers/must-block.mjs'
import { needing, notWine } from '../helpers/needing.mjs'
import { temporaryRoot } from '../helpers/temporary-root.mjs'

const BEAT = { heartbeatMs: 50, staleMs: 30_000 }

/** What programs that know nothing of the protocol do to a lock file. */
const vandals: Record<string, (root: string) => Promise<void>> = {
  'is unlinked': (root) => rm(join(root, '.lock')),
  async 'is replaced'(root) {
    await writeFile(join(root, 'other'), '')
    await rename(join(root, 'other'), join(root, '.lock'))
  },
  'is renamed': (root) => rename(join(root, '.lock'), join(root, 'elsewhere')),
  async 'is replaced by a directory'(root) {
    await rm(join(root, '.lock'))
    await mkdir(join(root, '.lock'))
  },
  'goes with everything else in the root': async (root) => {
    for (const name of await readdir(root)) await rm(join(root, name))
  },
  'goes with the root': (root) => rm(root, { recursive: true })
}

/** Wine keeps the name of a removed file while it is open, and puts nothing else in its place. */
const removing = needing(test, notWine)

for (const [what, vandalise] of Object.entries(vandals)) {
  needing(test, what !== 'is renamed' && notWine)(
    `a holder is told when its lock file ${what}`,
    async (t) => {
      const root = await temporaryRoot(t)
      const logs: string[] = []
      const logger = { warn: () => {}, error: (message: string) => logs.push(message) }
      const unlock = await hold(t, root, { ...BEAT, logger })
      await vandalise(root)
      await eventually('it is told', () => unlock.signal.aborted)
      const { reason } = unlock.signal as { reason: LockError }
      t.true(reason instanceof LockError)
      t.is(reason.code, 'ERR_LOCK_LOST')
      t.is(reason.reason, 'hijacked')
      t.is(reason.path, join(root, '.lock'))
      t.regex(reason.message, /^lock was lost/)
      t.deepEqual(logs, ['lock was lost'])
      await t.notThrowsAsync(unlock())
    }
  )
}

removing('a holder that first reads the signal after the loss finds it aborted', async (t) => {
  const root = await temporaryRoot(t)
  const told: unknown[] = []
  const logger = { warn: () => {}, error: (message: string) => told.push(message) }
  const unlock = await hold(t, root, { ...BEAT, logger })
  await rm(join(root, '.lock'))
  await eventually('the loss is logged', () => told.length > 0)
  await eventually('the loss is known', () => unlock.signal.aborted)
  await unlock()
  t.is((unlock.signal.reason as LockError).code, 'ERR_LOCK_LOST')
})

removing('a lost lock can be acquired again', async (t) => {
  const root = await temporaryRoot(t)
  const lost = await hold(t, root, BEAT)
  await rm(join(root, '.lock'))
  await eventually('it is told', () => lost.signal.aborted)
  const unlock = await hold(t, root)
  t.true(unlock.token > lost.token)
  await lost()
  await mustBlock(waiter(t, root).lock)
  t.false(unlock.signal.aborted)
})

removing('a waiter for an unlinked lock file acquires the lock of the new one', async (t) => {
  const root = await temporaryRoot(t)
  const holder = child(t, 'holder', { root, options: QUICK })
  await holder.says('held')
  const { lock } = waiter(t, root, QUICK)
  await mustBlock(lock)
  await rm(join(root, '.lock'))
  await inTime('it gets the new one', lock)
  t.is((await holder.says('lost')).reason, 'hijacked')
  await mustBlock(waiter(t, root).lock)
})

removing('a waiter for a replaced lock file waits for the new one', async (t) => {
  const root = await temporaryRoot(t)
  const holder = child(t, 'holder', { root })
  await holder.says('held')
  const { lock } = waiter(t, root, QUICK)
  await mustBlock(lock)
  // A second holder, of another file that takes the place of the first.
  const other = child(t, 'holder', { root, options: { fileName: 'other' } })
  await other.says('held')
  await rename(join(root, 'other'), join(root, '.lock'))
  await mustBlock(lock)
  other.kill()
  await inTime('the new one is free', lock)
  t.pass()
})

test('a lock file that is truncated or written to is still the lock file', async (t) => {
  const root = await temporaryRoot(t)
  const file = join(root, '.lock')
  const unlock: UnlockFunc = await hold(t, root, BEAT)
  for (let round = 0; round < 5; round++) {
    await (round % 2 ? truncate(file) : writeFile(file, 'a peer writes this'))
    const { mtimeMs } = await stat(file)
    await eventually('a beat', async () => (await stat(file)).mtimeMs > mtimeMs)
  }
  t.false(unlock.signal.aborted)
  await mustBlock(waiter(t, root).lock)
})
