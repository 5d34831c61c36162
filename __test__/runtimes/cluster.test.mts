// Workers of a cluster, and managers that stop them as pm2 does: SIGINT first, and after a while SIGKILL.

import cluster from 'node:cluster'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

import test, { type ExecutionContext } from 'ava'
import { inspect } from 'rootlock'

import { child, Child, fixture } from '../helpers/child.mjs'
import { eventually, inTime } from '../helpers/eventually.mjs'
import { waiter } from '../helpers/locks.mjs'
import { mustBlock } from '../helpers/must-block.mjs'
import { needing, notWine, unix } from '../helpers/needing.mjs'
import { temporaryRoot } from '../helpers/temporary-root.mjs'

const clustered = needing(test, notWine)
const onUnix = needing(test, unix)

/** A worker of this process's cluster, which runs a fixture. It is killed when the test ends. */
function worker(t: ExecutionContext, name: string, input: object): Child {
  // What is set up counts for the workers that are forked from now on.
  cluster.setupPrimary({ exec: fixture(name), args: [JSON.stringify(input)], silent: true })
  const started = new Child(cluster.fork().process)
  t.teardown(async () => {
    started.kill()
    await started.ends()
  })
  return started
}

clustered('a lock passes from worker to worker of a cluster, each alone', async (t) => {
  const root = await temporaryRoot(t)
  const workers = [1, 2, 3, 4].map(() => worker(t, 'holder', { root }))
  const left = new Set(workers)
  let last = 0
  while (left.size > 0) {
    const holder = (await eventually('one has it', () =>
      [...left].find((each) => each.hasSaid('held'))
    ))!
    const { token } = await holder.says('held')
    left.delete(holder)
    t.true(token > last)
    last = token
    t.false([...left].some((each) => each.hasSaid('held')))
    t.is((await inspect(root)).holder?.pid, holder.pid)
    holder.tell('unlock')
    await holder.says('unlocked')
  }
})

clustered('workers of a cluster count without losing one', async (t) => {
  const root = await temporaryRoot(t)
  const file = join(root, 'counter')
  await writeFile(file, '0')
  const [WORKERS, TIMES] = [4, 60]
  const workers = Array.from({ length: WORKERS }, () =>
    worker(t, 'counter', { root, times: TIMES, lines: 1 })
  )
  for (const each of workers) await each.says('ready')
  for (const each of workers) each.tell('start')
  for (const each of workers) await each.says('done')
  t.is(await readFile(file, 'utf8'), String(WORKERS * TIMES))
})

clustered('a killed worker frees the lock for the next', async (t) => {
  const root = await temporaryRoot(t)
  const first = worker(t, 'holder', { root })
  const { token } = await first.says('held')
  const second = worker(t, 'holder', { root })
  t.is((await second.says('waiting')).holder.pid, first.pid)
  first.kill()
  t.true((await second.says('held')).token > token)
})

onUnix('a worker that SIGINT ends frees the lock', async (t) => {
  const root = await temporaryRoot(t)
  const first = worker(t, 'managed', { root })
  await first.says('held')
  const { lock } = waiter(t, root)
  await mustBlock(lock)
  first.kill('SIGINT')
  t.is((await first.ends()).signal, 'SIGINT')
  await t.notThrowsAsync(inTime('it is free', lock))
})

onUnix('a reload hands the lock from the old worker to the new one', async (t) => {
  const root = await temporaryRoot(t)
  const old = worker(t, 'managed', { root, atInterrupt: 'unlock' })
  const { token } = await old.says('held')
  const fresh = worker(t, 'managed', { root, atInterrupt: 'unlock' })
  t.is((await fresh.says('waiting')).holder.pid, old.pid)
  t.false(fresh.hasSaid('held'))
  old.kill('SIGINT')
  t.true((await fresh.says('held')).token > token)
  t.deepEqual(await old.ends(), { code: 0, signal: null })
  t.false(old.hasSaid('lost'))
})

for (const atInterrupt of ['ignore', 'hang'] as const) {
  onUnix(
    `a worker keeps the lock through SIGINT (it does this: ${atInterrupt}), and SIGKILL frees it`,
    async (t) => {
      const root = await temporaryRoot(t)
      const stubborn = worker(t, 'managed', { root, atInterrupt })
      const { token } = await stubborn.says('held')
      const { lock } = waiter(t, root)
      stubborn.kill('SIGINT')
      await stubborn.says('interrupted')
      await mustBlock(lock)
      t.like(await inspect(root), { state: 'exclusive', holder: { pid: stubborn.pid } })
      stubborn.kill('SIGKILL')
      const unlock = await inTime('it is free', lock)
      t.true(unlock.token > token)
    }
  )
}

clustered('if the primary is killed, its worker ends, and the lock is free', async (t) => {
  const root = await temporaryRoot(t)
  const primary = child(t, 'managed', { root, primary: true })
  await primary.says('held')
  const { lock } = waiter(t, root)
  await mustBlock(lock)
  primary.kill()
  await t.notThrowsAsync(inTime('the lock is free', lock))
})
