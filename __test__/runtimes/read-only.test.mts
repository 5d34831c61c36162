// A directory that is mounted read-only, and a container whose root is.

import { mkdir, readdir } from 'node:fs/promises'
import { join } from 'node:path'

import test, { type ExecutionContext } from 'ava'
import { inspect } from 'rootlock'

import { child, program, type Message } from '../helpers/child.mjs'
import { rootlock } from '../helpers/command.mjs'
import { eventually } from '../helpers/eventually.mjs'
import { hold, waiter } from '../helpers/locks.mjs'
import { mounted, mounting } from '../helpers/mounts.mjs'
import { needing } from '../helpers/needing.mjs'
import { temporaryRoot } from '../helpers/temporary-root.mjs'

const onMounts = needing(test, ...mounting)

/** A command line that sees the directory read-only; everybody else does not. */
const readOnly = (root: string): string[] => {
  const mount = 'mount --bind "$0" "$0" && mount -o remount,ro,bind "$0" && exec "$@"'
  return ['unshare', '--mount', 'sh', '-c', mount, root]
}

type Seen = Message & Awaited<ReturnType<typeof inspect>>

const seenThere = async (t: ExecutionContext, root: string) =>
  (await child(t, 'inspector', { root }, readOnly(root)).says('seen')) as unknown as Seen

for (const shared of [false, true]) {
  onMounts(
    `${shared ? 'a reader' : 'a writer'} is refused on a read-only mount: EROFS, and what to do`,
    async (t) => {
      const root = await temporaryRoot(t)
      const error = await child(t, 'holder', { root, shared }, readOnly(root)).says('failed')
      t.is(error.code, 'ERR_LOCK_UNSUCCESSFUL')
      t.is(error.reason, 'system')
      t.regex(
        error.message,
        /^could not lock store: EROFS: read-only file system, open '.*'; it is mounted read-only: lock a directory that can be written to$/
      )
      t.like(error.cause, { code: 'EROFS', syscall: 'open', path: join(root, '.lock') })
      t.deepEqual(await readdir(root), [])
      // The files are there now, and can't be opened either.
      await hold(t, root)
      const again = await child(t, 'holder', { root, shared }, readOnly(root)).says('failed')
      t.is(again.cause.code, 'EROFS')
    }
  )
}

onMounts('on a read-only mount, a lock can be inspected: free, held, waited for', async (t) => {
  const root = await temporaryRoot(t)
  t.like(await seenThere(t, root), { state: 'free', holders: [], waiters: [] })
  t.deepEqual(await readdir(root), [])
  const unlock = await hold(t, root)
  const second = child(t, 'holder', { root })
  await second.says('waiting')
  await eventually('it waits in the kernel', async () => {
    return (await inspect(root)).waiters?.length === 1
  })
  const seen = await seenThere(t, root)
  t.like(seen, { state: 'exclusive', holder: { pid: process.pid, token: unlock.token } })
  t.deepEqual(
    seen.waiters?.map(({ pid }) => pid),
    [second.pid]
  )
  await unlock()
  await second.says('held')
  t.like(await seenThere(t, root), { state: 'exclusive', holder: { pid: second.pid } })
  second.tell('unlock')
  await second.says('unlocked')
  t.is((await seenThere(t, root)).state, 'free')
})

onMounts('the command says of a read-only mount what to do, and still reports', async (t) => {
  const root = await temporaryRoot(t)
  const run = async (...args: string[]) => {
    const [command, ...line] = [...readOnly(root), ...rootlock(...args)]
    const started = program(t, command!, line)
    const { code } = await started.ends()
    return { code, printed: started.printed }
  }
  const refused = await run('run', root, '--', 'echo', 'mine')
  t.is(refused.code, 69)
  t.regex(refused.printed, /EROFS[^]*remount it, or agree on a directory elsewhere to lock/)
  t.notRegex(refused.printed, /^mine$/m)
  const unlock = await hold(t, root)
  const status = await run('status', root)
  t.is(status.code, 0)
  t.true(status.printed.includes(String(process.pid)), status.printed)
  const doctor = await run('doctor', root)
  t.is(doctor.code, 1)
  t.regex(doctor.printed, /EROFS[^]*It is mounted read-only/)
  t.false(unlock.signal.aborted)
})

/** A container's: all is read-only but a tmpfs. */
const container = {
  name: 'tmpfs in a read-only root',
  missing: [],
  mount:
    'mount -o remount,ro,bind / && mount -t tmpfs -o ro none /dev/shm && mount -t tmpfs none "$to"',
  local: true
}

onMounts('in a read-only container, a writable tmpfs can be locked', async (t) => {
  const there = await mounted(t, container)
  t.regex(there.shell('touch /tmp/rootlock-is-read-only 2>&1 || true'), /Read-only/)
  const inside = () => there.inside('holder')
  const first = inside()
  const { token } = await first.says('held')
  const second = inside()
  await second.says('waiting')
  const other = there.inside('holder', { options: { wait: false } })
  t.is((await other.says('failed')).holder.pid, first.pid)
  first.kill()
  t.true((await second.says('held')).token > token)
  const seen = (await there.inside('inspector').says('seen')) as unknown as Seen
  t.like(seen, { state: 'exclusive', holder: { pid: second.pid } })
  second.tell('unlock')
  t.false((await second.says('unlocked')).lost)
})

onMounts('in a read-only container, a directory outside of the tmpfs can not', async (t) => {
  const there = await mounted(t, container)
  const root = join(there.folder, 'elsewhere')
  await mkdir(root)
  const error = await there.inside('holder', { root }).says('failed')
  t.is(error.cause.code, 'EROFS')
  // It is writable outside, for the same lock.
  const { lock } = waiter(t, root)
  const unlock = await lock
  t.like(await there.inside('inspector', { root }).says('seen'), { state: 'exclusive' })
  await unlock()
})

onMounts('in a read-only container, the command runs under the lock', async (t) => {
  const there = await mounted(t, container)
  const line = rootlock('run', there.root, '--', 'echo', 'mine')
  t.is(there.shell(line.map((word) => `'${word}'`).join(' ')), 'mine\n')
  const doctor = rootlock('doctor', there.root).map((word) => `'${word}'`)
  t.regex(there.shell(doctor.join(' ')), /This directory can be locked\./)
})
