import { statSync } from 'node:fs'
import { readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

import test from 'ava'
import { tryLock } from 'rootlock'

import { child } from './helpers/child.mjs'
import { eventually, inTime } from './helpers/eventually.mjs'
import { hold, QUICK, waiter } from './helpers/locks.mjs'
import { mustBlock } from './helpers/must-block.mjs'
import { needing, unix } from './helpers/needing.mjs'
import { temporaryRoot } from './helpers/temporary-root.mjs'

const onUnix = needing(test, unix)

onUnix('a lock file that is fresh is not recovered', async (t) => {
  const root = await temporaryRoot(t)
  const holder = child(t, 'holder', { root, options: QUICK })
  await holder.says('held')
  await holder.freeze(root)
  const { mtimeMs, ino } = statSync(join(root, '.lock'))
  const { lock } = waiter(t, root, QUICK)
  let granted = false
  void lock.then(() => (granted = true))
  await eventually('it is not fresh any more', () => {
    const age = Date.now() - mtimeMs
    // Read before the age: only what is seen early counts.
    const tooEarly = granted
    if (age < QUICK.staleMs) t.false(tooEarly, `taken over after ${age} ms`)
    return age >= QUICK.staleMs
  })
  await inTime('it is taken over', lock)
  t.not(statSync(join(root, '.lock')).ino, ino)
})

onUnix("a holder's own longer terms are kept by those who have less patience", async (t) => {
  const root = await temporaryRoot(t)
  const options = { heartbeatMs: 1_000, staleMs: 3_000 }
  const holder = child(t, 'holder', { root, options })
  await holder.says('held')
  await holder.freeze(root)
  const { mtimeMs } = statSync(join(root, '.lock'))
  await inTime('it is taken over', waiter(t, root, { heartbeatMs: 50, staleMs: 150 }).lock)
  t.true(Date.now() - mtimeMs >= options.staleMs)
})

onUnix('a stale lock is waited for with recover: false, until the kernel frees it', async (t) => {
  const root = await temporaryRoot(t)
  const holder = child(t, 'holder', { root, options: QUICK })
  await holder.says('held')
  await holder.freeze(root)
  const { mtimeMs, ino } = statSync(join(root, '.lock'))
  const patient = { ...QUICK, recover: false }
  const { lock } = waiter(t, root, patient)
  await eventually('it is very stale', () => Date.now() - mtimeMs > 3 * QUICK.staleMs)
  await mustBlock(lock)
  await t.throwsAsync(tryLock(root, { ...patient, wait: false }), { message: /^store is locked/ })
  holder.kill()
  await inTime('the lock is granted', lock)
  t.is(statSync(join(root, '.lock')).ino, ino)
})

onUnix('who may recover does, though others in its line may not', async (t) => {
  const root = await temporaryRoot(t)
  const holder = child(t, 'holder', { root, options: QUICK })
  await holder.says('held')
  const first = waiter(t, root, { ...QUICK, recover: false }).lock
  const second = waiter(t, root, QUICK).lock
  await mustBlock(Promise.race([first, second]))
  await holder.freeze(root)
  const unlock = await inTime('the second takes over', second)
  await mustBlock(first)
  await unlock()
  await inTime('the first has its turn', first)
  t.pass()
})

onUnix('what a takeover that died has left over does not hinder the next one', async (t) => {
  const root = await temporaryRoot(t)
  const holder = child(t, 'holder', { root, options: QUICK })
  await holder.says('held')
  await holder.freeze(root)
  await writeFile(join(root, '.lock.next'), '')
  await hold(t, root, QUICK)
  t.deepEqual((await readdir(root)).toSorted(), ['.lock', '.lock.guard'])
})

onUnix(
  'contenders that are killed when one of them has taken over leave nothing behind',
  async (t) => {
    const root = await temporaryRoot(t)
    const holder = child(t, 'holder', { root, options: QUICK })
    await holder.says('held')
    await holder.freeze(root)
    const contenders = [1, 2, 3].map(() => child(t, 'holder', { root, options: QUICK }))
    await Promise.any(contenders.map((contender) => contender.says('held')))
    for (const contender of contenders) contender.kill()
    for (const contender of contenders) await contender.ends()
    await hold(t, root, { wait: false })
    t.deepEqual((await readdir(root)).toSorted(), ['.lock', '.lock.guard'])
  }
)
