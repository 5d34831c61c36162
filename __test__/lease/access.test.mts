// One lock for several users: its access rights stay as they were created.

import { execFileSync, spawnSync } from 'node:child_process'
import { chmod, chown, mkdir, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

import test, { type ExecutionContext } from 'ava'
import { tryLock } from 'rootlock'

import { child } from '../helpers/child.mjs'
import { hold, QUICK } from '../helpers/locks.mjs'
import { linux, namespaces, needing, superuser, tool } from '../helpers/needing.mjs'
import { temporaryRoot } from '../helpers/temporary-root.mjs'

const NOBODY = 65_534
const SOMEBODY = 65_533
const GROUP = 65_532

const onSystem = needing(test, linux, superuser)

/** As systemd sets it; without it, opening with `O_CREAT` is no different from opening. */
const isProtected =
  spawnSync('grep', ['-q', '[1-9]', '/proc/sys/fs/protected_regular']).status !== 0 &&
  'fs.protected_regular'

/** A directory that everybody may write to, with a lock file created beforehand. */
async function premade(
  t: ExecutionContext,
  uid: number,
  gid: number,
  mode: number
): Promise<string> {
  const root = await temporaryRoot(t)
  await chmod(root, 0o777)
  const lock = join(root, '.lock')
  await writeFile(lock, '')
  await chown(lock, uid, gid)
  await chmod(lock, mode)
  return root
}

function list(path: string): string {
  return execFileSync('getfacl', ['--omit-header', '--numeric', path], { encoding: 'utf8' })
}

async function access(path: string): Promise<object> {
  const { uid, gid, mode } = await stat(path)
  return { uid, gid, mode: (mode & 0o7777).toString(8) }
}

for (const mode of [0o666, 0o660, 0o640]) {
  onSystem(`a takeover keeps owner, group and mode ${mode.toString(8)}`, async (t) => {
    const root = await premade(t, SOMEBODY, GROUP, mode)
    const before = await access(join(root, '.lock'))
    const { ino } = await stat(join(root, '.lock'))
    const frozen = child(t, 'holder', { root, options: QUICK })
    await frozen.says('held')
    await frozen.freeze(root)
    await hold(t, root, QUICK)
    t.not((await stat(join(root, '.lock'))).ino, ino)
    t.deepEqual(await access(join(root, '.lock')), before)
  })
}

onSystem(
  'a takeover by a user who can’t preserve the owner is refused, logged and reported',
  async (t) => {
    const root = await premade(t, SOMEBODY, GROUP, 0o666)
    const frozen = child(t, 'holder', { root, options: QUICK })
    await frozen.says('held')
    await frozen.freeze(root)
    const before = {
      ...(await access(join(root, '.lock'))),
      ino: (await stat(join(root, '.lock'))).ino
    }
    const waiting = child(t, 'holder', { root, uid: NOBODY, options: QUICK })
    const log = await waiting.says('log')
    t.is(log.message, 'could not take over a stale lock')
    t.regex(log.details.reason!, /fchown \.lock: Operation not permitted/)
    waiting.tell('abort')
    t.regex((await waiting.says('failed')).message, /could not be taken over \(EPERM/)
    t.deepEqual(
      { ...(await access(join(root, '.lock'))), ino: (await stat(join(root, '.lock'))).ino },
      before
    )
  }
)

needing(
  test,
  linux,
  superuser,
  tool('setfacl', '--version')
)('a takeover keeps the access list, and takes none from the directory', async (t) => {
  for (const own of [true, false]) {
    const root = await premade(t, 0, 0, 0o600)
    execFileSync('setfacl', ['--default', '--modify', `u:${SOMEBODY}:rw`, root])
    if (own) execFileSync('setfacl', ['--modify', `u:${NOBODY}:rw`, join(root, '.lock')])
    const before = list(join(root, '.lock'))
    const frozen = child(t, 'holder', { root, options: QUICK })
    await frozen.says('held')
    await frozen.freeze(root)
    await hold(t, root, QUICK)
    t.is(list(join(root, '.lock')), before)
  }
})

onSystem('anyone who may use a lock file created beforehand may use its guard', async (t) => {
  const root = await premade(t, SOMEBODY, GROUP, 0o660)
  await (
    await tryLock(root)
  )()
  t.deepEqual(await access(join(root, '.lock.guard')), await access(join(root, '.lock')))
  const other = await premade(t, SOMEBODY, GROUP, 0o666)
  const first = child(t, 'holder', { root: other, uid: NOBODY })
  await first.says('held')
  first.tell('unlock')
  await first.says('unlocked')
  const second = child(t, 'holder', { root: other, uid: SOMEBODY })
  await second.says('held')
  t.pass()
})

onSystem('the members of a directory’s group share its lock, whatever their umask', async (t) => {
  const root = await temporaryRoot(t)
  await chown(root, 0, GROUP)
  await chmod(root, 0o2770)
  const member = (uid: number) => ({ root, uid, groups: [uid, GROUP], umask: 0o077 })
  const first = child(t, 'holder', member(SOMEBODY))
  await first.says('held')
  const second = child(t, 'holder', member(NOBODY))
  t.is((await second.says('waiting')).holder.pid, first.pid)
  first.tell('unlock')
  await second.says('held')
  for (const name of ['.lock', '.lock.guard']) {
    t.deepEqual(await access(join(root, name)), { uid: SOMEBODY, gid: GROUP, mode: '660' })
  }
  const stranger = child(t, 'holder', { root, uid: NOBODY, groups: [NOBODY] })
  t.is((await stranger.says('failed')).cause.code, 'EACCES')
})

for (const [what, mode] of [
  ['sticky', 0o3770],
  ['of another group', 0o770],
  ['not for its group to write', 0o2750]
] as const) {
  onSystem(`a lock file stays its maker’s in a directory that is ${what}`, async (t) => {
    const root = await temporaryRoot(t)
    await chown(root, SOMEBODY, GROUP)
    await chmod(root, mode)
    const groups = [SOMEBODY, GROUP]
    const holder = child(t, 'holder', { root, uid: SOMEBODY, groups, umask: 0 })
    await holder.says('held')
    t.like(await access(join(root, '.lock')), { uid: SOMEBODY, mode: '600' })
  })
}

onSystem('a second user is told what to do', async (t) => {
  const root = await temporaryRoot(t)
  await chmod(root, 0o755)
  await (
    await tryLock(root)
  )()
  const second = child(t, 'holder', { root, uid: NOBODY, groups: [NOBODY] })
  const { message } = await second.says('failed')
  t.regex(message, /EACCES: .*\.lock'; who locks must be allowed to write in the directory/)
})

onSystem('a guard that can’t get the lock file’s group is open to no other group', async (t) => {
  const root = await premade(t, NOBODY, GROUP, 0o660)
  const first = child(t, 'holder', { root, uid: NOBODY })
  await first.says('held')
  const { uid, mode } = await stat(join(root, '.lock.guard'))
  t.deepEqual({ uid, mode: (mode & 0o777).toString(8) }, { uid: NOBODY, mode: '600' })
})

needing(
  test,
  linux,
  superuser,
  isProtected
)('somebody else’s lock in a sticky directory is opened, not made', async (t) => {
  const root = await temporaryRoot(t)
  await mkdir(join(root, 'tmp'))
  const sticky = join(root, 'tmp')
  await chmod(root, 0o755)
  await chmod(sticky, 0o1777)
  for (const name of ['.lock', '.lock.guard']) {
    await writeFile(join(sticky, name), '')
    await chown(join(sticky, name), SOMEBODY, SOMEBODY)
    await chmod(join(sticky, name), 0o666)
  }
  const nobody = child(t, 'holder', { root: sticky, uid: NOBODY, options: { wait: false } })
  await nobody.says('held')
  nobody.tell('unlock')
  t.false((await nobody.says('unlocked')).lost)
})

needing(
  test,
  linux,
  superuser,
  namespaces
)('who may only set a coarse “now” is granted the lock again and again', async (t) => {
  const root = await temporaryRoot(t)
  await chmod(root, 0o777)
  // The times of ramfs advance in ticks of the kernel, on every kernel.
  const script = `
      mount -t ramfs none ${root} && chmod 777 ${root}
      for name in .lock .lock.guard; do touch ${root}/$name && chmod 666 ${root}/$name; done
      exec "$@"`
  const nobody = child(t, 'grants', { root, uid: NOBODY, times: 200 }, [
    'unshare',
    '--mount',
    'sh',
    '-c',
    script,
    'sh'
  ])
  const { tokens } = (await nobody.says('done')) as unknown as { tokens: number[] }
  t.is(new Set(tokens).size, 200)
  t.deepEqual(
    tokens,
    tokens.toSorted((a, b) => a - b)
  )
})
