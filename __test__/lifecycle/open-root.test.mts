import { createRequire } from 'node:module'
import { mkdir, readdir, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'

import test from 'ava'
import { inspect, LockError, openRoot, tryLock, tryRLock, withLock } from 'rootlock'

import { child } from '../helpers/child.mjs'
import { inTime } from '../helpers/eventually.mjs'
import { hold, QUICK, waiter } from '../helpers/locks.mjs'
import { mustBlock } from '../helpers/must-block.mjs'
import { needing, unix } from '../helpers/needing.mjs'
import { temporaryRoot } from '../helpers/temporary-root.mjs'

test('a root works like its path', async (t) => {
  const path = await temporaryRoot(t)
  for (const given of [path, pathToFileURL(path)]) {
    const root = await openRoot(given)
    t.is(root.path, path)
    const unlock = await tryLock(root)
    const { lock } = waiter(t, path, {}, tryRLock)
    await mustBlock(lock)
    t.is((await inspect(root)).state, 'exclusive')
    await unlock()
    await (
      await inTime('the path is free', lock)
    )()
    t.is(await withLock(root, () => 7, { shared: true }), 7)
    await root.close()
  }
})

test('opening a root creates nothing', async (t) => {
  const path = await temporaryRoot(t)
  await using root = await openRoot(path)
  t.is((await inspect(root)).state, 'free')
  t.deepEqual(await readdir(path), [])
})

test('close is idempotent, and so is disposing', async (t) => {
  const root = await openRoot(await temporaryRoot(t))
  await Promise.all([root.close(), root.close()])
  await root[Symbol.asyncDispose]()
  t.is(await root.close(), undefined)
  await t.throwsAsync(tryLock(root), { instanceOf: LockError, code: 'ERR_ROOT_CLOSED' })
})

test('locks and waits that were begun with a root go on when it is closed', async (t) => {
  const path = await temporaryRoot(t)
  const root = await openRoot(path)
  const unlock = await hold(t, root)
  const { lock } = waiter(t, root)
  await root.close()
  await mustBlock(lock)
  await unlock()
  const next = await inTime('the waiter has the lock', lock)
  await mustBlock(waiter(t, path).lock)
  t.false(next.signal.aborted)
})

needing(test, unix)('a root stays the same directory when its path is renamed', async (t) => {
  const parent = await temporaryRoot(t)
  const [before, after] = [join(parent, 'before'), join(parent, 'after')]
  await mkdir(before)
  await using root = await openRoot(before)
  await rename(before, after)
  await mkdir(before)
  const unlock = await tryLock(root)
  t.deepEqual(await readdir(before), [], 'the new one is not touched')
  t.deepEqual((await readdir(after)).toSorted(), ['.lock', '.lock.guard'])
  await mustBlock(waiter(t, after).lock)
  await hold(t, before, { wait: false })
  t.is((await inspect(root)).state, 'exclusive')
  await unlock()
  t.is(root.path, before)
})

needing(test, unix)('a lock is not lost because its directory is renamed', async (t) => {
  const parent = await temporaryRoot(t)
  const [before, after] = [join(parent, 'before'), join(parent, 'after')]
  await mkdir(before)
  const holder = child(t, 'holder', { root: before, options: QUICK })
  await holder.says('held')
  await rename(before, after)
  const { lock } = waiter(t, after, QUICK)
  const begun = performance.now()
  while (performance.now() - begun < 3 * QUICK.staleMs) await mustBlock(lock)
  holder.tell('unlock')
  t.false((await holder.says('unlocked')).lost)
  await inTime('the lock is granted', lock)
})

needing(test, unix)('a root whose directory was removed says so', async (t) => {
  const path = await temporaryRoot(t)
  await using root = await openRoot(path)
  await rm(path, { recursive: true })
  const error = await t.throwsAsync<LockError>(tryLock(root), { code: 'ERR_LOCK_UNSUCCESSFUL' })
  t.is((error.cause as NodeJS.ErrnoException).code, 'ENOENT')
})

test('an object that only looks like a root is refused', async (t) => {
  const root = await openRoot(await temporaryRoot(t))
  const heir = Object.create(root) as typeof root
  for (const fake of [heir, { ...root }]) {
    for (const call of [tryLock, tryRLock, inspect]) {
      await t.throwsAsync(async () => void (await call(fake)), { instanceOf: TypeError })
    }
  }
  await root.close()
})

test('a root of another copy of the package is refused by saying so', async (t) => {
  const require = createRequire(import.meta.url)
  const path = require.resolve('rootlock')
  delete require.cache[path]
  const other = require('rootlock') as typeof import('rootlock')
  const root = await other.openRoot(await temporaryRoot(t))
  t.teardown(() => root.close())
  await t.throwsAsync(tryLock(root), {
    code: 'ERR_INVALID_ARG_VALUE',
    message: /must be opened by this copy of rootlock, not by another one/
  })
})
