// One directory by several paths, in one process: one lock, but each caller uses its own path, in messages too.

import { chmod, mkdir, rename, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

import test, { type ExecutionContext } from 'ava'
import { inspect, openRoot, tryLock, tryRLock, type LockError } from 'rootlock'

import { child } from '../helpers/child.mjs'
import { eventually, inTime } from '../helpers/eventually.mjs'
import { hold, QUICK, waiter } from '../helpers/locks.mjs'
import { mounted, mounting } from '../helpers/mounts.mjs'
import { mustBlock } from '../helpers/must-block.mjs'
import { linux, needing, superuser, unix } from '../helpers/needing.mjs'
import { temporaryRoot } from '../helpers/temporary-root.mjs'

const onUnix = needing(test, unix)
const asSuperuser = needing(test, linux, superuser)
const withMounts = needing(test, linux, ...mounting)

/** Two paths of one directory. */
async function twoPaths(t: ExecutionContext): Promise<[string, string]> {
  const folder = await temporaryRoot(t)
  const [root, link] = [join(folder, 'root'), join(folder, 'link')]
  await mkdir(root)
  await symlink(root, link)
  return [root, link]
}

onUnix('an error names the caller’s path, not the first caller’s', async (t) => {
  const [root, link] = await twoPaths(t)
  const unlock = await hold(t, root)
  for (const path of [link, `${root}/.`, root]) {
    const error = await t.throwsAsync<LockError>(tryLock(path, { wait: false }))
    t.is(error.path, `${path}/.lock`)
    const wait = waiter(t, path)
    await mustBlock(wait.lock)
    wait.abort()
    t.is((await t.throwsAsync<LockError>(wait.lock)).path, `${path}/.lock`)
  }
  await unlock()
})

onUnix('a system error names the caller’s path', async (t) => {
  const [root, link] = await twoPaths(t)
  await mkdir(join(root, '.lock'))
  const opened = await Promise.all([root, link].map((path) => openRoot(path)))
  for (const at of [...opened, root, link]) {
    const path = `${typeof at === 'string' ? at : at.path}/.lock`
    for (const ask of [tryLock(at), tryRLock(at, { wait: false }), inspect(at)]) {
      const error = await t.throwsAsync<LockError>(ask as Promise<unknown>)
      t.is(error.path, path)
      t.is((error.cause as NodeJS.ErrnoException).path, path)
    }
  }
  await Promise.all(opened.map((at) => at.close()))
})

onUnix('a log message names the path of its lock’s caller', async (t) => {
  const [root, link] = await twoPaths(t)
  const terms = { heartbeatMs: 50, staleMs: 30_000 }
  const told: unknown[] = []
  const logger = {
    warn: () => {},
    error: (_message: string, details: object) => told.push((details as { path: string }).path)
  }
  await hold(t, root, { ...terms, logger }, tryRLock)
  await hold(t, link, { ...terms, logger }, tryRLock)
  await writeFile(join(root, 'other'), '')
  await rename(join(root, 'other'), join(root, '.lock'))
  await eventually('both have heard that they lost it', () => told.length === 2)
  t.deepEqual(told.toSorted(), [`${link}/.lock`, `${root}/.lock`])
})

asSuperuser('a refused takeover is reported to each caller by its own path', async (t) => {
  const [root, link] = await twoPaths(t)
  for (const path of [join(root, '..'), root]) await chmod(path, 0o1777)
  const holder = child(t, 'holder', { root, options: QUICK })
  await holder.says('held')
  for (const name of ['.lock', '.lock.guard']) await chmod(join(root, name), 0o666)
  await holder.freeze(root)
  const nobody = child(t, 'by-path', { uid: 65_534 })
  await nobody.says('ready')
  for (const path of [root, link]) {
    nobody.tell('lock', { name: path, root: path, options: QUICK })
    await nobody.says('waiting')
  }
  await nobody.says('log')
  for (const path of [root, link]) {
    nobody.tell('abort', path)
    const { message } = await nobody.says('failed')
    t.regex(message, /the lock is stale, but could not be taken over/)
    t.true(message.endsWith(`: look at ${path}/.lock`), message)
  }
})

/** A directory by a path to write, another one, and one that is mounted read-only; and a process. */
async function threePaths(t: ExecutionContext) {
  const bind = `
    mkdir "$folder/again" "$folder/readonly"
    mount --bind "$to" "$folder/again"
    mount --bind "$to" "$folder/readonly"
    mount -o remount,bind,ro "$folder/readonly"`
  const mount = `mount -t tmpfs none "$to"; ${bind}`
  const there = await mounted(t, { name: 'bound', missing: [], local: true, mount })
  const { root, folder } = there
  const [again, readonly] = [join(folder, 'again'), join(folder, 'readonly')]
  const start = async () => {
    const started = there.inside('by-path')
    await started.says('ready')
    return started
  }
  return { root, again, readonly, start, shell: there.shell, party: await start() }
}

withMounts('an open read-only mount does not keep callers from the writable one', async (t) => {
  const { root, readonly, party } = await threePaths(t)
  party.tell('open', readonly)
  await party.says('opened')
  party.tell('lock', { name: 'first', root })
  await party.says('held')
  party.tell('look', readonly)
  t.like(await party.says('seen'), { state: 'exclusive' })
  for (const wait of [false, true]) {
    party.tell('lock', { name: 'refused', root: readonly, options: { wait } })
    const { path, cause } = await party.says('failed')
    t.is(cause.code, 'EROFS')
    t.is(path, `${readonly}/.lock`)
  }
  party.tell('unlock', 'first')
  await party.says('unlocked')
})

withMounts('an open writable mount does not make a read-only one writable', async (t) => {
  const { root, readonly, party } = await threePaths(t)
  party.tell('open', root)
  await party.says('opened')
  party.tell('lock', { name: 'refused', root: readonly })
  const { path, cause } = await party.says('failed')
  t.is(cause.code, 'EROFS')
  t.is(path, `${readonly}/.lock`)
})

withMounts('a cached directory is not used when something is mounted over it', async (t) => {
  const { root, party } = await threePaths(t)
  const over = `mount --bind ${root} ${root} && mount -o remount,bind,ro ${root}`
  party.tell('keep', { root, run: over })
  t.is((await party.says('failed')).cause.code, 'EROFS')
})

withMounts('one directory by two mounts is one lock, even within a process', async (t) => {
  const { root, again, party, start } = await threePaths(t)
  party.tell('lock', { name: 'first', root })
  const { token } = await party.says('held')
  party.tell('lock', { name: 'refused', root: again, options: { wait: false } })
  const refused = await party.says('failed')
  t.regex(refused.message, /^store is locked by pid /)
  t.is(refused.holder.pid, party.pid)
  t.is(refused.path, `${again}/.lock`)
  party.tell('lock', { name: 'aborted', root: again })
  await party.says('waiting')
  party.tell('abort', 'aborted')
  t.is((await party.says('failed')).path, `${again}/.lock`)
  const other = await start()
  const line = [
    { to: party, name: 'second', root: again },
    { to: other, name: 'third', root },
    { to: party, name: 'fourth', root }
  ]
  for (const { to, name, root: at } of line) {
    to.tell('lock', { name, root: at })
    await to.says('waiting')
  }
  t.false(party.hasSaid('held') || other.hasSaid('held'))
  party.tell('unlock', 'first')
  let last = token
  for (let left = line; left.length > 0;) {
    await eventually('one of the waiters has it', () => left.some(({ to }) => to.hasSaid('held')))
    const { to } = left.find((one) => one.to.hasSaid('held'))!
    const held = await to.says('held')
    t.true(held.token > last)
    last = held.token
    left = left.filter(({ name }) => name !== held.name)
    t.false(party.hasSaid('held') || other.hasSaid('held'), 'one at a time')
    to.tell('unlock', held.name)
  }
  party.tell('lock', { name: 'reader', root, shared: true })
  await party.says('held')
  party.tell('lock', { name: 'reader too', root: again, shared: true })
  await inTime('readers share it', party.says('held'))
  party.tell('lock', { name: 'writer', root: again, options: { wait: false } })
  t.regex((await party.says('failed')).message, /^store is locked/)
})

withMounts('no update is lost, whatever the mount', async (t) => {
  const { root, again, party, start, shell } = await threePaths(t)
  shell(`printf 0 > ${root}/counter`)
  const counters = [party, await start()]
  const roots = [root, again, root, again]
  for (const counter of counters) counter.tell('count', { roots, times: 100 })
  for (const counter of counters) await counter.says('counted')
  t.is(shell(`cat ${again}/counter`), '800')
})
