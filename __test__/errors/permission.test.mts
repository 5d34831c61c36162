import { chmod, mkdir, readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

import test, { type ExecutionContext } from 'ava'
import { tryLock } from 'rootlock'

import { child } from '../helpers/child.mjs'
import { hold } from '../helpers/locks.mjs'
import { namespaces, needing, superuser, unix } from '../helpers/needing.mjs'
import { temporaryRoot } from '../helpers/temporary-root.mjs'

const NOBODY = 65_534

const asNobody = needing(test, unix, superuser)
const mounting = needing(test, superuser, namespaces)

/** A directory that others can reach. */
async function publicRoot(t: ExecutionContext): Promise<string> {
  const parent = await temporaryRoot(t)
  await chmod(parent, 0o755)
  const root = join(parent, 'root')
  await mkdir(root)
  return root
}

/** A user without permission asks for the lock, and is refused at once. */
async function refuses(t: ExecutionContext, root: string, code: string, path: string) {
  const error = await child(t, 'holder', { root, uid: NOBODY, groups: [NOBODY] }).says('failed')
  t.is(error.name, 'LockError')
  t.is(error.code, 'ERR_LOCK_UNSUCCESSFUL')
  t.regex(error.message, new RegExp(`^could not lock store: ${code}: `))
  t.is(error.path, path)
  t.like(error.cause, { code, path, syscall: 'open' })
  t.true(error.cause.errno < 0)
}

asNobody('a directory without permission to write', async (t) => {
  const root = await publicRoot(t)
  await refuses(t, root, 'EACCES', join(root, '.lock'))
  t.deepEqual(await readdir(root), [])
})

asNobody('a directory without permission to enter', async (t) => {
  const root = await publicRoot(t)
  await chmod(root, 0o700)
  await refuses(t, join(root, 'below'), 'EACCES', join(root, 'below'))
  await refuses(t, root, 'EACCES', join(root, '.lock'))
  t.deepEqual(await readdir(root), [])
})

asNobody('a lock file of another user', async (t) => {
  const root = await publicRoot(t)
  await chmod(root, 0o777)
  await (
    await tryLock(root)
  )()
  await refuses(t, root, 'EACCES', join(root, '.lock'))
  const seen = await child(t, 'inspector', { root, uid: NOBODY, group: NOBODY }).says('failed')
  t.regex(seen.message, /^could not inspect store: EACCES: .*, and to read its lock file$/)
})

asNobody('a guard of somebody else', async (t) => {
  const root = await publicRoot(t)
  await chmod(root, 0o777)
  await (
    await tryLock(root)
  )()
  await chmod(join(root, '.lock'), 0o666)
  await chmod(join(root, '.lock.guard'), 0o600)
  await refuses(t, root, 'EACCES', join(root, '.lock.guard'))
  await hold(t, root, { wait: false })
})

asNobody(
  'a lock file of another user that everybody may write to is a lock for both',
  async (t) => {
    const root = await publicRoot(t)
    const unlock = await hold(t, root)
    for (const name of ['.lock', '.lock.guard']) await chmod(join(root, name), 0o666)
    const other = child(t, 'holder', {
      root,
      uid: NOBODY,
      options: { heartbeatMs: 50, staleMs: 30_000 }
    })
    await other.says('waiting')
    await unlock()
    await other.says('held')
    t.is(
      (await t.throwsAsync(tryLock(root, { wait: false }))).message.includes(String(other.pid)),
      true
    )
    other.tell('unlock')
    t.false((await other.says('unlocked')).lost)
  }
)

mounting('a read-only file system', async (t) => {
  const root = await temporaryRoot(t)
  const script = `mount -t tmpfs -o ro none ${root} && exec "$@"`
  const nobody = child(t, 'holder', { root }, ['unshare', '--mount', 'sh', '-c', script, 'sh'])
  const error = await nobody.says('failed')
  t.is(error.code, 'ERR_LOCK_UNSUCCESSFUL')
  t.regex(error.message, /^could not lock store: EROFS: read-only file system, open '/)
  t.like(error.cause, { code: 'EROFS', syscall: 'open', path: join(root, '.lock') })
})

mounting('a full file system', async (t) => {
  const root = await temporaryRoot(t)
  const script = `mount -t tmpfs -o size=4k,nr_inodes=1k none ${root} && cat /dev/zero > ${root}/full; exec "$@"`
  const nobody = child(t, 'holder', { root }, ['unshare', '--mount', 'sh', '-c', script, 'sh'])
  const error = await nobody.says('failed')
  t.is(error.code, 'ERR_LOCK_UNSUCCESSFUL')
  t.like(error.cause, { code: 'ENOSPC', path: join(root, '.lock.guard') })
})

asNobody('a directory that may only be read can be inspected', async (t) => {
  const root = await publicRoot(t)
  await writeFile(join(root, '.lock'), '')
  await chmod(join(root, '.lock'), 0o644)
  const nobody = child(t, 'inspector', { root, uid: NOBODY })
  t.is(((await nobody.says('seen')) as unknown as { state: string }).state, 'free')
})
