import { readFileSync } from 'node:fs'

import test from 'ava'
import { tryLock, tryRLock } from 'rootlock'

import { child } from '../helpers/child.mjs'
import { inTime } from '../helpers/eventually.mjs'
import { kernelLocks } from '../helpers/kernel-locks.mjs'
import { hold, waiter } from '../helpers/locks.mjs'
import { mustBlock } from '../helpers/must-block.mjs'
import { linux, needing } from '../helpers/needing.mjs'
import { temporaryRoot } from '../helpers/temporary-root.mjs'

/** Far below the 30 s after which a lock is stale, far above the time needed. */
const AT_ONCE = 10_000

/** Windows has no other. */
const ENDS: NodeJS.Signals[] =
  process.platform === 'win32' ? ['SIGKILL', 'SIGTERM'] : ['SIGKILL', 'SIGTERM', 'SIGABRT']

const WITHOUT_CORE =
  process.platform === 'win32' ? [] : ['sh', '-c', 'ulimit -c 0; exec "$@"', 'sh']

for (const shared of [false, true]) {
  const whose = shared ? 'reader' : 'writer'

  for (const end of ENDS) {
    test.serial(`a ${whose} killed by ${end} is followed at once by a waiter`, async (t) => {
      const root = await temporaryRoot(t)
      const holder = child(t, 'holder', { root, shared }, WITHOUT_CORE)
      await holder.says('held')
      const { lock } = waiter(t, root)
      await mustBlock(lock)
      const begun = performance.now()
      holder.kill(end)
      await inTime('the lock is granted', lock)
      t.true(performance.now() - begun < AT_ONCE)
    })
  }

  test.serial(`a ${whose} that was killed is followed at once by a newcomer`, async (t) => {
    const root = await temporaryRoot(t)
    const holder = child(t, 'holder', { root, shared })
    await holder.says('held')
    holder.kill()
    await holder.ends()
    await hold(t, root, { wait: false })
    t.pass()
  })

  for (const end of ['exit', 'crash']) {
    test.serial(`a ${whose} that ends by itself is followed at once: ${end}`, async (t) => {
      const root = await temporaryRoot(t)
      const holder = child(t, 'holder', { root, shared })
      await holder.says('held')
      const { lock } = waiter(t, root)
      await mustBlock(lock)
      const begun = performance.now()
      holder.tell(end)
      await inTime('the lock is granted', lock)
      t.true(performance.now() - begun < AT_ONCE)
    })
  }
}

test.serial('a killed waiter holds nobody up', async (t) => {
  const root = await temporaryRoot(t)
  const unlock = await hold(t, root)
  const second = child(t, 'holder', { root })
  await second.says('waiting')
  second.kill()
  await second.ends()
  await unlock()
  await hold(t, root, { wait: false })
  t.pass()
})

test.serial(
  'the lock goes on through a queue of holders that are killed one after the other',
  async (t) => {
    const root = await temporaryRoot(t)
    const unlock = await hold(t, root)
    const line = Array.from({ length: 4 }, () => child(t, 'holder', { root }))
    const held = line.map((holder) => holder.says('held').then(() => holder))
    await unlock()
    for (let left = line.length; left > 0; left--) {
      const alive = held.filter((_, index) => line[index]!.process.signalCode === null)
      const holder = await Promise.race(alive)
      holder.kill()
      await holder.ends()
    }
    await hold(t, root, { wait: false })
    t.pass()
  }
)

needing(test.serial, linux)(
  'a killed holder is followed at once even if it has just beaten',
  async (t) => {
    const root = await temporaryRoot(t)
    const holder = child(t, 'holder', { root })
    const { token } = await holder.says('held')
    holder.kill()
    await holder.ends()
    t.deepEqual(kernelLocks(root), [])
    t.regex(
      readFileSync(`${root}/.lock.guard`, 'utf8'),
      new RegExp(`token=${token} .*pid=${holder.pid} `)
    )
    await hold(t, root, { wait: false })
  }
)

for (const [name, take] of [
  ['writers', tryLock],
  ['readers', tryRLock]
] as const) {
  test.serial(`all waiting ${name} of one process are served after a kill`, async (t) => {
    const root = await temporaryRoot(t)
    const holder = child(t, 'holder', { root })
    await holder.says('held')
    const waiters = Array.from({ length: 5 }, async () => {
      const unlock = await waiter(t, root, {}, take).lock
      await unlock()
    })
    await mustBlock(Promise.race(waiters))
    holder.kill()
    await inTime('all had it', Promise.all(waiters))
    t.pass()
  })
}
