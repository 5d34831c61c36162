import { statSync } from 'node:fs'
import { readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

import test from 'ava'
import { tryLock } from 'rootlock'

import { child } from '../helpers/child.mjs'
import { eventually, inTime } from '../helpers/eventually.mjs'
import { hold, QUICK, waiter } from '../helpers/locks.mjs'
import { mustBlock, quiet } from '../helpers/must-block.mjs'
import { linux, needing, unix } from '../helpers/needing.mjs'
import { openFiles } from '../helpers/open-files.mjs'
import { temporaryRoot } from '../helpers/temporary-root.mjs'

const onUnix = needing(test, unix)

onUnix('a fresh lock file is not taken over', async (t) => {
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
    // Read before the age: only an early sighting counts.
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

onUnix('a waiter that may recover does, even if others in its queue may not', async (t) => {
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

onUnix('a temporary file left by a takeover that died does not hinder the next one', async (t) => {
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

/** A waiter with these terms looks only every minute or less often. */
const PATIENT = { heartbeatMs: 200_000, staleMs: 600_000 }

onUnix('a wait that has ended does not delay the next one’s look', async (t) => {
  const root = await temporaryRoot(t)
  const holder = child(t, 'holder', { root, options: QUICK })
  await holder.says('held')
  const patient = waiter(t, root, PATIENT)
  await looked()
  patient.abort()
  await t.throwsAsync(inTime('the wait ends', patient.lock))
  await holder.freeze(root)
  await hold(t, root, QUICK)
  t.pass()
})

onUnix('a patient waiter in front does not delay the next one’s look', async (t) => {
  const root = await temporaryRoot(t)
  const holder = child(t, 'holder', { root, options: QUICK })
  await holder.says('held')
  const patient = waiter(t, root, { ...PATIENT, recover: false })
  await looked()
  await holder.freeze(root)
  await hold(t, root, QUICK)
  patient.abort()
  t.pass()
})

needing(test, linux)('nothing is open once nobody waits, however rarely they looked', async (t) => {
  const root = await temporaryRoot(t)
  const unlock = await hold(t, root)
  const { lock } = waiter(t, root, PATIENT)
  await looked()
  await unlock()
  await (
    await inTime('the lock is granted', lock)
  )()
  await eventually('the directory is closed', () =>
    openFiles().every(([, path]) => !path.startsWith(root))
  )
  t.pass()
})

/** Waits until the waiters have looked for the first time. */
async function looked(): Promise<void> {
  for (let time = 0; time < 4; time++) await quiet()
}
