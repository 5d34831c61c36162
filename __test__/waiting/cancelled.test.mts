import { readdir, rm, stat, utimes } from 'node:fs/promises'
import { join } from 'node:path'

import test from 'ava'
import { tryLock, type UnlockFunc } from 'rootlock'

import { child } from '../helpers/child.mjs'
import { eventually, inTime } from '../helpers/eventually.mjs'
import { hold, QUICK } from '../helpers/locks.mjs'
import { mustBlock, quiet } from '../helpers/must-block.mjs'
import { needing, unix } from '../helpers/needing.mjs'
import { temporaryRoot } from '../helpers/temporary-root.mjs'

const abortSoon = async (lock: Promise<UnlockFunc>, controller: AbortController) => {
  await mustBlock(lock)
  controller.abort()
  await inTime(
    'the wait ends',
    lock.catch(() => {})
  )
}

needing(test, unix)('nothing is recovered after an abort', async (t) => {
  const root = await temporaryRoot(t)
  const file = join(root, '.lock')
  const holder = child(t, 'holder', { root, options: QUICK })
  await holder.says('held')
  await holder.freeze()
  const before = await stat(file)
  const controller = new AbortController()
  await abortSoon(tryLock(root, { ...QUICK, signal: controller.signal }), controller)
  // It would have been taken over long before this.
  await eventually('the lock is very old', () => Date.now() - before.mtimeMs > 3 * QUICK.staleMs)
  const after = await stat(file)
  t.is(after.ino, before.ino)
  t.is(after.mtimeMs, before.mtimeMs)
})

test('nothing is created after an abort', async (t) => {
  const root = await temporaryRoot(t)
  const unlock = await hold(t, root, { heartbeatMs: 5_000, staleMs: 15_000 })
  const controller = new AbortController()
  await abortSoon(tryLock(root, { signal: controller.signal }), controller)
  for (const name of await readdir(root)) await rm(join(root, name))
  await quiet()
  await unlock()
  await quiet()
  t.deepEqual(await readdir(root), [])
})

test('nothing is locked or touched after an abort, when the holder releases', async (t) => {
  const root = await temporaryRoot(t)
  const file = join(root, '.lock')
  const holder = child(t, 'holder', { root, options: { heartbeatMs: 5_000, staleMs: 15_000 } })
  await holder.says('held')
  const controller = new AbortController()
  await abortSoon(tryLock(root, { signal: controller.signal }), controller)
  const long = new Date('2020-01-01')
  await utimes(file, long, long)
  holder.tell('unlock')
  await holder.says('unlocked')
  await quiet()
  t.is((await stat(file)).mtimeMs, long.getTime())
})

// The first call in a process does not know yet whether opening the directory blocks, and so leaves
// it to a thread.
test.serial('nothing is created after an abort of the first call in a process', async (t) => {
  for (let micros = 0; micros < 600; micros += 30) {
    const first = child(t, 'first-call', { root: await temporaryRoot(t), micros })
    await first.ends()
    if (first.hasSaid('granted')) continue
    const seen = (await first.says('rejected')) as unknown as { names: string[]; later: string[] }
    t.deepEqual(seen.later, seen.names, `after ${micros} µs`)
  }
  t.pass()
})
