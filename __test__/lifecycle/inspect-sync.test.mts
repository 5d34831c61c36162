import { mkdir, readdir, rename } from 'node:fs/promises'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'

import test from 'ava'
import {
  inspect,
  inspectSync,
  openRoot,
  openRootSync,
  tryLockSync,
  tryRLockSync,
  type LockError
} from 'rootlock'

import { child } from '../helpers/child.mjs'
import { QUICK } from '../helpers/locks.mjs'
import { needing, unix } from '../helpers/needing.mjs'
import { temporaryRoot } from '../helpers/temporary-root.mjs'

test('inspectSync sees what inspect sees, and creates nothing', async (t) => {
  const path = await temporaryRoot(t)
  const fileName = 'other'
  await using opened = await openRoot(path)
  for (const root of [path, pathToFileURL(path), opened, openRootSync(path)]) {
    t.like(inspectSync(root), { state: 'free', holder: undefined, ageMs: undefined })
  }
  t.deepEqual(await readdir(path), [])
  const same = async (state: string) => {
    const { ageMs, ...seen } = inspectSync(path, { fileName, staleMs: 600_000 })
    t.like(await inspect(path, { fileName, staleMs: 600_000 }), seen)
    t.is(seen.state, state as never)
    t.true(ageMs! >= 0)
  }
  const unlock = tryLockSync(path, { fileName })
  await same('exclusive')
  unlock.sync()
  await same('free')
  const reader = tryRLockSync(path, { fileName })
  await same('shared')
  reader.sync()
})

test('inspectSync knows another process, and when it is frozen', async (t) => {
  const root = await temporaryRoot(t)
  const holder = child(t, 'holder', { root, options: QUICK })
  const { token } = await holder.says('held')
  const { state, holder: seen } = inspectSync(root)
  t.is(state, 'exclusive')
  t.like(seen, { pid: holder.pid, token })
  t.is(inspectSync(root, { staleMs: 0 }).state, 'stale')
})

test('inspectSync and openRootSync throw what their asynchronous forms reject with', async (t) => {
  const missing = join(await temporaryRoot(t), 'missing')
  for (const [sync, async] of [
    [inspectSync, inspect],
    [openRootSync, openRoot]
  ] as const) {
    const expected = await t.throwsAsync<LockError>(async(missing))
    const { code, reason, message, path } = expected
    t.like(
      t.throws(() => sync(missing)),
      { code, reason, message, path }
    )
    t.throws(() => sync(1 as never), { code: 'ERR_INVALID_ARG_TYPE' })
  }
  t.throws(() => inspectSync('.', { staleMs: -1 }), { code: 'ERR_OUT_OF_RANGE' })
})

needing(test, unix)('openRootSync opens the directory that the path leads to now', async (t) => {
  const path = await temporaryRoot(t)
  const [before, after] = [join(path, 'before'), join(path, 'after')]
  await mkdir(before)
  const root = openRootSync(before)
  t.is(root.path, before)
  await rename(before, after)
  const unlock = tryLockSync(root)
  t.is(inspectSync(after).state, 'exclusive')
  unlock.sync()
  root[Symbol.dispose]()
  t.throws(() => inspectSync(root), { code: 'ERR_ROOT_CLOSED' })
  await root.close()
})
