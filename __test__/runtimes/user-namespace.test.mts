// A user name space of its own, as rootless containers have, with and without one of pids.

import { chmod } from 'node:fs/promises'
import { join } from 'node:path'

import test, { type ExecutionContext } from 'ava'
import { inspect, tryLock } from 'rootlock'

import { child } from '../helpers/child.mjs'
import { eventually, inTime } from '../helpers/eventually.mjs'
import { hold, QUICK, waiter } from '../helpers/locks.mjs'
import { linux, needing, superuser, tool } from '../helpers/needing.mjs'
import { isOneLock } from '../helpers/restricted.mjs'
import { temporaryRoot } from '../helpers/temporary-root.mjs'

const NOBODY = 65_534

type Seen = Awaited<ReturnType<typeof inspect>>

/** As `unshare -Ur`: whoever starts it is root there. */
const USER = ['unshare', '--user', '--map-root-user']

/** With pids of its own, as a container has; its /proc is its own, too. */
const CONTAINER = [...USER, '--pid', '--fork', '--kill-child', '--mount-proc']

const rootless = needing(test, linux, tool('unshare', ...USER.slice(1), 'true'))
const contained = needing(test, linux, tool('unshare', ...CONTAINER.slice(1), 'true'))

const AS_NOBODY = [
  'setpriv',
  `--reuid=${NOBODY}`,
  `--regid=${NOBODY}`,
  '--clear-groups',
  ...USER,
  process.execPath,
  '--version'
]

const unprivileged = needing(test, linux, superuser, tool('setpriv', ...AS_NOBODY.slice(1)))

const look = async (t: ExecutionContext, root: string, through: string[]) =>
  (await child(t, 'inspector', { root }, through).says('seen')) as unknown as Seen

rootless('inside and outside of a user name space, the lock is the same', async (t) => {
  const root = await temporaryRoot(t)
  await isOneLock(t, root, () => child(t, 'holder', { root }, USER))
})

rootless('inside and outside, holder and waiters are seen', async (t) => {
  const root = await temporaryRoot(t)
  const inside = child(t, 'holder', { root }, USER)
  const { token } = await inside.says('held')
  const waits = waiter(t, root)
  const isSeen = async (through: string[]) => {
    const seen = (await eventually('the waiter is in the kernel', async () => {
      const now = await look(t, root, through)
      return now.waiters?.length === 1 ? now : undefined
    }))!
    t.like(seen, { state: 'exclusive', holder: { pid: inside.pid, token } })
    t.truthy(seen.holder?.command)
    t.deepEqual([seen.holders?.[0]?.pid, seen.waiters?.[0]?.pid], [inside.pid, process.pid])
  }
  await isSeen([])
  await isSeen(USER)
  inside.tell('unlock')
  const unlock = await inTime('the lock is handed out of the name space', waits.lock)
  t.like(await look(t, root, USER), { state: 'exclusive', holder: { pid: process.pid } })
  await unlock()
  t.is((await look(t, root, USER)).state, 'free')
})

for (const [where, frozen, taker] of [
  ['outside, from one inside', USER, []],
  ['inside, from one outside', [], USER]
] as const) {
  rootless(`a takeover ${where}`, async (t) => {
    const root = await temporaryRoot(t)
    const holder = child(t, 'holder', { root, options: QUICK }, [...frozen])
    const { token } = await holder.says('held')
    await holder.freeze(root)
    const next = child(t, 'holder', { root, options: QUICK }, [...taker])
    t.true((await next.says('held')).token > token)
    holder.thaw()
    t.is((await holder.says('lost')).reason, 'hijacked')
  })
}

contained('with pids of its own, too, the lock is the same', async (t) => {
  const root = await temporaryRoot(t)
  await isOneLock(t, root, () => child(t, 'holder', { root }, CONTAINER))
})

contained(
  'the pid of a container is shown as its own, and is taken for nobody else’s',
  async (t) => {
    const root = await temporaryRoot(t)
    const first = child(t, 'holder', { root, options: QUICK }, CONTAINER)
    await first.says('held')
    const outside = await inspect(root)
    t.like(outside, { state: 'exclusive', holder: { pid: 1, mode: 'exclusive' } })
    // The kernel names it by the pid that it has here.
    t.not(outside.holders?.[0]?.pid, 1)
    // Another container has a process 1 as well: neither itself, nor proof of anything.
    const refused = await child(t, 'holder', { root, options: { wait: false } }, CONTAINER).says(
      'failed'
    )
    t.is(refused.reason, 'held')
    t.is(refused.holder.pid, 1)
    t.notRegex(refused.message, /which is this process/)
    // The kernel does not show it a holder that has no pid there, but it is no free lock.
    t.like(await look(t, root, CONTAINER), { state: 'exclusive', holders: [] })
    t.false((await inspect(root)).state === 'stale')
    first.tell('unlock')
    t.false((await first.says('unlocked')).lost)
  }
)

unprivileged('a user without privileges has the same lock inside as outside', async (t) => {
  const root = await temporaryRoot(t)
  await chmod(root, 0o777)
  const through = AS_NOBODY.slice(0, -2)
  const first = child(t, 'holder', { root }, through)
  await first.says('held')
  const second = child(t, 'holder', { root, uid: NOBODY, groups: [NOBODY] })
  await second.says('waiting')
  first.kill()
  await second.says('held')
  const third = child(t, 'holder', { root }, through)
  await third.says('waiting')
  second.tell('unlock')
  await third.says('held')
  await t.throwsAsync(tryLock(root, { wait: false }), { code: 'ERR_LOCK_UNSUCCESSFUL' })
  third.tell('unlock')
  t.false((await third.says('unlocked')).lost)
})

unprivileged('the files of a user that is not mapped are refused as any other’s', async (t) => {
  const root = await temporaryRoot(t)
  await chmod(root, 0o777)
  const unlock = await hold(t, root)
  const through = AS_NOBODY.slice(0, -2)
  const error = await child(t, 'holder', { root }, through).says('failed')
  t.is(error.cause.code, 'EACCES')
  t.is(error.path, join(root, '.lock'))
  t.regex(error.message, /who locks must be allowed to write/)
  // Being root there is of no use for them; that everybody may is.
  for (const name of ['.lock', '.lock.guard']) await chmod(join(root, name), 0o666)
  const waits = child(t, 'holder', { root }, through)
  await waits.says('waiting')
  await unlock()
  await waits.says('held')
  waits.tell('unlock')
  t.false((await waits.says('unlocked')).lost)
})
