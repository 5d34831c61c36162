import { readdir, rm, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

import test, { type ExecutionContext } from 'ava'
import { inspect, LockError, openRoot, tryLock, tryRLock, withLock } from 'rootlock'

import { inTime } from '../helpers/eventually.mjs'
import { needing, unix } from '../helpers/needing.mjs'
import { temporaryRoot } from '../helpers/temporary-root.mjs'

/** Every call on a bad root fails at once, with one error. */
async function refuses(
  t: ExecutionContext,
  root: string,
  code: string,
  path = root
): Promise<void> {
  for (const [what, call] of [
    ['lock store', () => tryLock(root)],
    ['lock store', () => tryRLock(root)],
    ['lock store', () => tryLock(root, { wait: false })],
    ['lock store', () => withLock(root, () => t.fail())],
    ['open root', () => openRoot(root)],
    ['inspect store', () => inspect(root)]
  ] as [string, () => Promise<unknown>][]) {
    const error = await t.throwsAsync<LockError>(inTime<unknown>('it is refused', call()), {
      instanceOf: LockError,
      code: 'ERR_LOCK_UNSUCCESSFUL',
      message: new RegExp(`^could not ${what}: `)
    })
    const cause = error.cause as NodeJS.ErrnoException
    t.is(cause.code, code)
    t.is(cause.syscall, 'open')
    t.is(cause.path, path)
    t.true(cause.errno! < 0)
    t.true(error.message.includes(code))
    t.is(error.path, path)
    t.false('holder' in error)
  }
}

test('no directory', async (t) => {
  const root = await temporaryRoot(t)
  await refuses(t, join(root, 'nowhere'), 'ENOENT')
  await refuses(t, join(root, 'no', 'where'), 'ENOENT')
  t.deepEqual(await readdir(root), [])
})

test('an empty path', async (t) => {
  await refuses(t, '', 'ENOENT')
})

test('a directory that is gone', async (t) => {
  const root = await temporaryRoot(t)
  await (
    await tryLock(root)
  )()
  await rm(root, { recursive: true })
  await refuses(t, root, 'ENOENT')
})

needing(test, unix)('a file', async (t) => {
  const root = await temporaryRoot(t)
  const file = join(root, 'file')
  await writeFile(file, 'content')
  await refuses(t, file, 'ENOTDIR')
  await refuses(t, join(file, 'below'), 'ENOTDIR')
  t.deepEqual(await readdir(root), ['file'])
})

needing(test, unix)('a symbolic link to nowhere, and one to itself', async (t) => {
  const root = await temporaryRoot(t)
  await symlink('nowhere', join(root, 'dangling'))
  await symlink('round', join(root, 'round'))
  await refuses(t, join(root, 'dangling'), 'ENOENT')
  await refuses(t, join(root, 'round'), 'ELOOP')
  t.deepEqual((await readdir(root)).toSorted(), ['dangling', 'round'])
})

needing(test, unix)('a name that is too long', async (t) => {
  await refuses(t, join(await temporaryRoot(t), 'x'.repeat(300)), 'ENAMETOOLONG')
})

test('a closed root', async (t) => {
  const root = await openRoot(await temporaryRoot(t))
  await root.close()
  for (const call of [
    () => tryLock(root),
    () => tryRLock(root, { wait: false }),
    () => withLock(root, () => t.fail()),
    () => inspect(root)
  ]) {
    const error = await t.throwsAsync<LockError>(inTime<unknown>('it is refused', call()), {
      instanceOf: LockError,
      code: 'ERR_ROOT_CLOSED',
      message: /^root is closed/
    })
    t.is(error.path, root.path)
    t.false('cause' in error)
  }
  t.deepEqual(await readdir(root.path), [])
})
