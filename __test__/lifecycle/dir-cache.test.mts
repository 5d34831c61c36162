import { access, mkdir, rename, rmdir, unlink } from 'node:fs/promises'
import { join } from 'node:path'

import test from 'ava'
import { tryLock } from 'rootlock'

import { eventually } from '../helpers/eventually.mjs'
import { linux, needing, notEmulated } from '../helpers/needing.mjs'
import { openFiles } from '../helpers/open-files.mjs'
import { temporaryRoot } from '../helpers/temporary-root.mjs'

/** Often and quickly enough that the directory is cached. */
async function again(root: string): Promise<void> {
  for (let index = 0; index < 50; index++) await (await tryLock(root))()
}

const isOpen = (path: string) => openFiles().some(([, open]) => open === path)

needing(
  test,
  linux,
  notEmulated
)('a directory that is locked again and again is closed soon after', async (t) => {
  const root = await temporaryRoot(t)
  await eventually('it is kept open', async () => {
    await again(root)
    return isOpen(root)
  })
  await eventually('the directory is closed', () => !isOpen(root))
  await eventually('its guard is closed', () => !isOpen(join(root, '.lock.guard')))
  t.pass()
})

needing(test, linux)('a directory that is locked once is closed with its lock', async (t) => {
  const root = await temporaryRoot(t)
  await (
    await tryLock(root)
  )()
  t.false(isOpen(root))
  t.false(isOpen(join(root, '.lock.guard')))
})

test('a path leads to the directory that it names now, however often it led to another', async (t) => {
  const folder = await temporaryRoot(t)
  const [root, elsewhere] = [join(folder, 'root'), join(folder, 'elsewhere')]
  await mkdir(root)
  await again(root)
  await rename(root, elsewhere)
  await mkdir(root)
  const unlock = await tryLock(root)
  await access(join(root, '.lock'))
  // The other one is free.
  await (
    await tryLock(elsewhere, { wait: false })
  )()
  await unlock()
  for (const name of ['.lock', '.lock.guard']) await unlink(join(root, name))
  await rmdir(root)
  await t.throwsAsync(tryLock(root), { code: 'ERR_LOCK_UNSUCCESSFUL' })
})
