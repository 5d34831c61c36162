// A /proc that hides the processes of others, and none at all.

import { chmod, stat } from 'node:fs/promises'
import { join } from 'node:path'

import test, { type ExecutionContext } from 'ava'
import { inspect, tryLock } from 'rootlock'

import { child, program, type Child } from '../helpers/child.mjs'
import { rootlock, untilTold } from '../helpers/command.mjs'
import { eventually, inTime } from '../helpers/eventually.mjs'
import { hold, QUICK } from '../helpers/locks.mjs'
import { mustBlock } from '../helpers/must-block.mjs'
import { linux, namespaces, needing, superuser, tool } from '../helpers/needing.mjs'
import { isOneLock } from '../helpers/restricted.mjs'
import { temporaryRoot } from '../helpers/temporary-root.mjs'

const NOBODY = 65_534

type Seen = Awaited<ReturnType<typeof inspect>>

/** A command line in a mount name space of its own. */
const after = (mount: string): string[] => [
  'unshare',
  '--mount',
  'sh',
  '-c',
  `${mount} && exec "$@"`,
  'sh'
]

const HIDDEN = after('mount -t proc -o hidepid=2 proc /proc')

const withoutProc = needing(test, linux, superuser, namespaces)

const hidden = needing(test, linux, superuser, namespaces, tool('setpriv', '--version'))

/** A lock that every user may use. */
async function publicRoot(t: ExecutionContext): Promise<string> {
  const root = await temporaryRoot(t)
  await chmod(root, 0o777)
  await (
    await tryLock(root)
  )()
  for (const name of ['.lock', '.lock.guard']) await chmod(join(root, name), 0o666)
  return root
}

const asNobody = (t: ExecutionContext, root: string, more: object = {}) =>
  child(t, 'holder', { root, uid: NOBODY, groups: [NOBODY], ...more }, HIDDEN)

const seenByNobody = async (t: ExecutionContext, root: string) => {
  const looks = child(t, 'inspector', { root, uid: NOBODY, group: NOBODY }, HIDDEN)
  return (await looks.says('seen')) as unknown as Seen
}

hidden('where other users are hidden, the lock is the same', async (t) => {
  const root = await publicRoot(t)
  const ids = [`--reuid=${NOBODY}`, `--regid=${NOBODY}`, '--clear-groups']
  const [command, ...args] = [...HIDDEN, 'setpriv', ...ids, 'test', '-e', `/proc/${process.pid}`]
  t.is((await program(t, command!, args).ends()).code, 1, 'this process is hidden')
  await isOneLock(t, root, () => asNobody(t, root))
})

hidden('where other users are hidden, a lock of one is seen, with what it recorded', async (t) => {
  const root = await publicRoot(t)
  const unlock = await hold(t, root)
  const seen = await seenByNobody(t, root)
  t.like(seen, {
    state: 'exclusive',
    holder: { pid: process.pid, token: unlock.token, mode: 'exclusive' }
  })
  t.truthy(seen.holder?.command)
  // The kernel's list has it all the same; what is hidden is what it runs.
  t.deepEqual(
    seen.holders?.map(({ pid, command: name }) => [pid, name]),
    [[process.pid, undefined]]
  )
  const refused = await asNobody(t, root, { options: { wait: false } }).says('failed')
  t.is(refused.reason, 'held')
  t.is(refused.holder.pid, process.pid)
  await unlock()
  t.is((await seenByNobody(t, root)).state, 'free')
})

/** Proof of a death needs no watch: who believed it would not wait for so many beats. */
async function isKept(root: string, other: Child): Promise<{ held: Promise<unknown> }> {
  await other.says('waiting')
  const held = other.says('held')
  const beats = new Set<number>()
  await eventually('the holder beats', async () => {
    beats.add((await stat(join(root, '.lock'))).mtimeMs)
    return beats.size > 4 || other.hasSaid('held')
  })
  await mustBlock(held)
  return { held }
}

hidden('a holder that is hidden is not taken for dead', async (t) => {
  const root = await publicRoot(t)
  const holder = child(t, 'holder', { root, options: QUICK })
  await holder.says('held')
  const { held } = await isKept(root, asNobody(t, root, { options: QUICK }))
  holder.tell('unlock')
  t.false((await holder.says('unlocked')).lost)
  await held
})

for (const [how, mount] of [
  ['with nothing at /proc', 'mount -t tmpfs none /proc'],
  ['with /proc unmounted', 'umount -l /proc']
] as const) {
  const inside = after(mount)

  withoutProc(`${how}, the lock is the same`, async (t) => {
    const root = await temporaryRoot(t)
    const [command, ...args] = [...inside, 'test', '-e', '/proc/self']
    t.is((await program(t, command!, args).ends()).code, 1, 'there is none')
    await isOneLock(t, root, () => child(t, 'holder', { root }, inside))
  })

  withoutProc(`${how}, a lock can be inspected, though not who waits`, async (t) => {
    const root = await temporaryRoot(t)
    const look = async () =>
      (await child(t, 'inspector', { root }, inside).says('seen')) as unknown as Seen
    t.is((await look()).state, 'free')
    const unlock = await hold(t, root)
    const seen = await look()
    t.like(seen, { state: 'exclusive', holder: { pid: process.pid, token: unlock.token } })
    t.is(seen.holders, undefined)
    t.is(seen.waiters, undefined)
    await unlock()
    t.is((await look()).state, 'free')
  })
}

const NONE = after('mount -t tmpfs none /proc')

withoutProc('a holder without /proc is seen by others', async (t) => {
  const root = await temporaryRoot(t)
  const holder = child(t, 'holder', { root }, NONE)
  const { token } = await holder.says('held')
  t.like(await inspect(root), {
    state: 'exclusive',
    holder: { pid: holder.pid, token },
    holders: [{ pid: holder.pid }]
  })
})

for (const [whose, far] of [
  ['holder', true],
  ['waiter', false]
] as const) {
  withoutProc(`no /proc is no proof of death: the ${whose} has none`, async (t) => {
    const root = await temporaryRoot(t)
    const start = (restricted: boolean) =>
      child(t, 'holder', { root, options: QUICK }, restricted ? NONE : [])
    const holder = start(far)
    await holder.says('held')
    const { held } = await isKept(root, start(!far))
    holder.tell('unlock')
    t.false((await holder.says('unlocked')).lost)
    await held
  })

  withoutProc(`a frozen holder loses the lock where the ${whose} has no /proc`, async (t) => {
    const root = await temporaryRoot(t)
    const start = (restricted: boolean) =>
      child(t, 'holder', { root, options: QUICK }, restricted ? NONE : [])
    const holder = start(far)
    const { token } = await holder.says('held')
    await holder.freeze(root)
    t.true((await start(!far).says('held')).token > token)
    holder.thaw()
    t.is((await holder.says('lost')).reason, 'hijacked')
  })
}

withoutProc('who inspects without /proc makes no attempt of others fail', async (t) => {
  const root = await temporaryRoot(t)
  // It tries the lock for a moment each time, because nobody tells it who holds it.
  await child(t, 'looker', { root }, NONE).says('looking')
  for (let round = 0; round < 500; round++) {
    const unlock = await tryLock(root, { wait: false })
    await unlock()
  }
  t.pass()
})

withoutProc('the command works without /proc, and hands a signal on', async (t) => {
  const root = await temporaryRoot(t)
  const [command, ...args] = [...NONE, ...rootlock('run', root, '--', ...untilTold)]
  const running = program(t, command!, args, 'pipe', { killSignal: 'SIGTERM' })
  await running.prints('ready')
  const [second, ...more] = [...NONE, ...rootlock('run', '--no-wait', root, '--', 'true')]
  t.is((await program(t, second!, more).ends()).code, 75)
  const [third, ...rest] = [...NONE, ...rootlock('status', root)]
  const status = program(t, third!, rest)
  t.is((await status.ends()).code, 0)
  t.regex(status.printed, /held by a writer/)
  running.kill('SIGTERM')
  await running.ends()
  await (
    await inTime('the lock is free', tryLock(root))
  )()
})
