import { mkdir, readdir, stat, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

import test from 'ava'
import { tryLock, tryRLock } from 'rootlock'

import { inTime } from '../helpers/eventually.mjs'
import { hold, waiter } from '../helpers/locks.mjs'
import { mustBlock } from '../helpers/must-block.mjs'
import { needing, notWine, unix } from '../helpers/needing.mjs'
import { temporaryRoot } from '../helpers/temporary-root.mjs'

test('a lock can be acquired, released and acquired again', async (t) => {
  const root = await temporaryRoot(t)
  for (const take of [tryLock, tryLock, tryRLock, tryRLock, tryLock]) {
    const unlock = await take(root)
    await unlock()
  }
  t.pass()
})

test('only the lock file and its guard are created, and they stay', async (t) => {
  const root = await temporaryRoot(t)
  const unlock = await tryLock(root)
  t.deepEqual((await readdir(root)).toSorted(), ['.lock', '.lock.guard'])
  await unlock()
  t.deepEqual((await readdir(root)).toSorted(), ['.lock', '.lock.guard'])
})

needing(test, unix)('the files belong to their maker alone', async (t) => {
  const root = await temporaryRoot(t)
  await hold(t, root)
  for (const name of ['.lock', '.lock.guard']) {
    const { mode } = await stat(join(root, name))
    t.is(mode & 0o777, 0o600, name)
  }
})

test('two directories are two locks', async (t) => {
  await hold(t, await temporaryRoot(t))
  await hold(t, await temporaryRoot(t))
  t.pass()
})

test('two file names are two locks', async (t) => {
  const root = await temporaryRoot(t)
  await hold(t, root)
  await hold(t, root, { fileName: '.posixage.lock' })
  t.true((await readdir(root)).includes('.posixage.lock'))
})

needing(test, notWine)('two ways to one directory are one lock', async (t) => {
  const parent = await temporaryRoot(t)
  await mkdir(join(parent, 'store'))
  await symlink('store', join(parent, 'alias'), 'junction')
  const unlock = await hold(t, join(parent, 'store'))
  const { lock } = waiter(t, join(parent, 'alias'))
  await mustBlock(lock)
  await unlock()
  await inTime('the other way is free', lock)
  t.pass()
})

test('a lock file with content keeps it', async (t) => {
  const root = await temporaryRoot(t)
  await writeFile(join(root, '.lock'), 'a peer left this')
  await hold(t, root)
  t.is((await stat(join(root, '.lock'))).size, 16)
})

test('names and paths may be in any language, and long', async (t) => {
  const root = join(await temporaryRoot(t), 'ein Lager für 倉庫')
  await mkdir(root)
  for (const fileName of ['замо́к 🔒', '-rf', ' ', 'x'.repeat(240)]) {
    await hold(t, root, { fileName })
    t.true((await readdir(root)).includes(fileName), fileName)
  }
})
