import { mkdir, readdir } from 'node:fs/promises'
import { join, relative, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'

import test from 'ava'
import { inspect, LockError, openRoot, tryLock, withLock } from 'rootlock'

import { inTime } from '../helpers/eventually.mjs'
import { hold, waiter } from '../helpers/locks.mjs'
import { mustBlock } from '../helpers/must-block.mjs'
import { temporaryRoot } from '../helpers/temporary-root.mjs'

test('a file: URL is a path', async (t) => {
  // Windows has no question marks in names.
  const mark = process.platform === 'win32' ? '' : '?'
  const path = join(await temporaryRoot(t), `ein Lager für 100% #1${mark}`)
  await mkdir(path)
  const url = pathToFileURL(path)
  const unlock = await tryLock(url)
  t.true((await readdir(path)).includes('.lock'))
  t.is((await inspect(url)).state, 'exclusive')
  const { lock } = waiter(t, path)
  await mustBlock(lock)
  await unlock()
  await (
    await inTime('the path is free', lock)
  )()
  t.is(await withLock(url, () => 7), 7)
  t.is((await openRoot(url)).path, path)
})

test('a trailing slash, dots and doubled slashes are the same directory', async (t) => {
  const root = await temporaryRoot(t)
  await hold(t, root)
  for (const path of [`${root}/`, `${root}/.`, `${root}//`, join(root, 'x', '..')]) {
    await t.throwsAsync(tryLock(path, { wait: false }), { message: /^store is locked/ })
  }
})

// The current directory is the whole process's.
test.serial('a relative path refers to the directory that is current at the call', async (t) => {
  const parent = await temporaryRoot(t)
  const [first, second] = [join(parent, 'first'), join(parent, 'second')]
  for (const path of [join(first, 'store'), join(second, 'store')]) {
    await mkdir(path, { recursive: true })
  }
  const home = process.cwd()
  t.teardown(() => process.chdir(home))

  process.chdir(first)
  const unlock = await tryLock('store', { heartbeatMs: 50, staleMs: 30_000 })
  const { lock } = waiter(t, 'store')
  await mustBlock(lock)
  process.chdir(second)
  const elsewhere = await tryLock('store', { wait: false })
  t.true((await readdir(join(first, 'store'))).includes('.lock'))
  t.true((await readdir(join(second, 'store'))).includes('.lock'))
  t.is((await inspect(relative(second, join(first, 'store')))).state, 'exclusive')

  // The beat, the waiter and the release still concern the first.
  await mustBlock(lock)
  t.false(unlock.signal.aborted)
  await unlock()
  const held = await inTime('the waiter has the first', lock)
  await elsewhere()
  await t.throwsAsync(tryLock(join(first, 'store'), { wait: false }), { instanceOf: LockError })
  await held()
})

test.serial('an opened root stays the directory that its relative path led to', async (t) => {
  const parent = await temporaryRoot(t)
  await mkdir(join(parent, 'store'))
  const home = process.cwd()
  t.teardown(() => process.chdir(home))
  process.chdir(parent)
  const root = await openRoot('store')
  const path = resolve('store')
  process.chdir(home)
  t.is(root.path, path)
  await hold(t, root)
  t.deepEqual((await readdir(join(parent, 'store'))).toSorted(), ['.lock', '.lock.guard'])
  await root.close()
})

test.serial('the current directory can be a root', async (t) => {
  const root = await temporaryRoot(t)
  const home = process.cwd()
  t.teardown(() => process.chdir(home))
  process.chdir(root)
  const unlock = await tryLock('.')
  process.chdir(home)
  await t.throwsAsync(tryLock(root, { wait: false }), { message: /^store is locked/ })
  await unlock()
})
