import { readdir, stat, utimes } from 'node:fs/promises'
import { hostname } from 'node:os'
import { join } from 'node:path'

import test from 'ava'
import { inspect, tryLock, tryRLock } from 'rootlock'

import { child } from '../helpers/child.mjs'
import { eventually } from '../helpers/eventually.mjs'
import { hold, QUICK, waiter } from '../helpers/locks.mjs'
import { linux, needing, notWine, unix } from '../helpers/needing.mjs'
import { temporaryRoot } from '../helpers/temporary-root.mjs'

/** Where the system tells. */
const nobody = process.platform === 'linux' ? { holders: [], waiters: [] } : {}

test('a root that was never locked is free, and nothing is created', async (t) => {
  const root = await temporaryRoot(t)
  t.deepEqual(await inspect(root), { state: 'free', ...nobody })
  t.deepEqual(await readdir(root), [])
})

test('a lock that was released is free, and has an age', async (t) => {
  const root = await temporaryRoot(t)
  await (
    await tryLock(root)
  )()
  const { state, holder, ageMs } = await inspect(root)
  t.is(state, 'free')
  t.is(holder, undefined)
  t.true(ageMs! >= 0 && ageMs! < 60_000)
})

for (const [mode, take] of [
  ['exclusive', tryLock],
  ['shared', tryRLock]
] as const) {
  test(`a lock that is held is ${mode}, and its holder is known`, async (t) => {
    const root = await temporaryRoot(t)
    const before = Date.now()
    const unlock = await hold(t, root, {}, take)
    const { state, holder, ageMs } = await inspect(root)
    t.is(state, mode)
    t.true(ageMs! >= 0)
    t.like(holder, { pid: process.pid, hostname: hostname(), mode, token: unlock.token })
    t.true(holder!.acquiredAt!.getTime() >= before - 1)
    t.true(holder!.acquiredAt!.getTime() <= Date.now() + 1)
    t.regex(holder!.command!, /^node/)
  })

  test(`a lock that another process holds is ${mode}, and its holder is known`, async (t) => {
    const root = await temporaryRoot(t)
    const other = child(t, 'holder', { root, shared: mode === 'shared' })
    const { token } = await other.says('held')
    const { state, holder } = await inspect(root)
    t.is(state, mode)
    t.like(holder, { pid: other.pid, mode, token })
    other.kill()
    await other.ends()
    t.is((await inspect(root)).state, 'free')
  })

  needing(test, unix)(`a lock whose ${mode} holder is frozen is stale`, async (t) => {
    const root = await temporaryRoot(t)
    const other = child(t, 'holder', { root, shared: mode === 'shared', options: QUICK })
    await other.says('held')
    await other.freeze()
    const { staleMs } = QUICK
    await eventually(
      'it is stale',
      async () => (await inspect(root, { staleMs })).state === 'stale'
    )
    const { holder, ageMs } = await inspect(root, { staleMs })
    t.is(holder?.pid, other.pid)
    t.true(ageMs! >= staleMs)
    t.is((await inspect(root)).state, mode, 'not yet for who has more patience')
  })
}

test('inspect touches nothing', async (t) => {
  const root = await temporaryRoot(t)
  await (
    await tryLock(root)
  )()
  const file = join(root, '.lock')
  const long = new Date('2020-01-01')
  await utimes(file, long, long)
  const before = await stat(file)
  for (let index = 0; index < 10; index++) t.is((await inspect(root)).state, 'free')
  const after = await stat(file)
  t.deepEqual([after.mtimeMs, after.ino, after.size], [before.mtimeMs, before.ino, before.size])
  t.deepEqual((await readdir(root)).toSorted(), ['.lock', '.lock.guard'])
})

needing(test, notWine)('looking all the time never makes one attempt fail', async (t) => {
  const root = await temporaryRoot(t)
  const others = [1, 2].map(() => child(t, 'looker', { root }))
  for (const other of others) await other.says('looking')
  const end = new AbortController()
  const looks = [1, 2, 3].map(async () => {
    while (!end.signal.aborted) await inspect(root)
  })
  for (let index = 0; index < 500; index++) {
    const unlock = await (index % 2 ? tryLock : tryRLock)(root, { wait: false })
    await unlock()
  }
  end.abort()
  await Promise.all(looks)
  t.pass()
})

test('inspect with another name inspects another lock', async (t) => {
  const root = await temporaryRoot(t)
  await hold(t, root, { fileName: 'other' })
  t.is((await inspect(root)).state, 'free')
  t.is((await inspect(root, { fileName: 'other' })).state, 'exclusive')
})

test('a lock file with a time in the future does not have a negative age', async (t) => {
  const root = await temporaryRoot(t)
  await hold(t, root)
  const future = new Date(Date.now() + 3_600_000)
  await utimes(join(root, '.lock'), future, future)
  const { state, ageMs } = await inspect(root, { staleMs: 0 })
  t.is(ageMs, 0)
  t.true(state === 'exclusive' || state === 'stale')
})

needing(test, linux)(
  'a reader that beats is not stale because another one was killed',
  async (t) => {
    const root = await temporaryRoot(t)
    await hold(t, root, QUICK, tryRLock)
    const other = child(t, 'holder', { root, shared: true })
    await other.says('held')
    other.kill()
    await other.ends()
    t.is((await inspect(root)).state, 'shared')
  }
)

needing(test, linux)(
  'holders and waiters are told, with the callers of this process',
  async (t) => {
    const root = await temporaryRoot(t)
    const holder = child(t, 'holder', { root, shared: true })
    await holder.says('held')
    const own = await hold(t, root, {}, tryRLock)
    const other = child(t, 'holder', { root })
    await other.says('waiting')
    await eventually(
      'it waits in the kernel',
      async () => (await inspect(root)).waiters!.length > 0
    )
    const waiters = [waiter(t, root), waiter(t, root), waiter(t, root, {}, tryRLock)]
    const seen = await inspect(root)
    t.is(seen.state, 'shared')
    const pids = seen.holders!.map(({ pid, mode }) => `${pid} ${mode}`)
    t.deepEqual(pids.toSorted(), [`${holder.pid} shared`, `${process.pid} shared`].toSorted())
    const of = (pid: number) => seen.waiters!.find((owner) => owner.pid === pid)
    t.like(of(other.pid), { mode: 'exclusive', callers: undefined })
    t.regex(of(other.pid)!.command!, /holder/)
    t.like(of(process.pid), { mode: 'exclusive', callers: 3 })
    t.is(seen.waiters!.length, 2)
    for (const { lock, abort } of waiters) {
      abort()
      await t.throwsAsync(lock)
    }
    t.is((await inspect(root)).waiters!.length, 1)
    await own()
  }
)

test('the callers that wait for a lock of this process are told', async (t) => {
  const root = await temporaryRoot(t)
  await hold(t, root)
  waiter(t, root, {}, tryRLock)
  waiter(t, root)
  const { waiters } = await inspect(root)
  const told = waiters?.map(({ pid, mode, callers }) => ({ pid, mode, callers }))
  const own = { pid: process.pid, mode: 'shared', callers: 2 }
  t.deepEqual(told, process.platform === 'linux' ? [own] : undefined)
})
