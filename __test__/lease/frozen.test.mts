import { stat } from 'node:fs/promises'
import { join } from 'node:path'

import test, { type ExecutionContext } from 'ava'
import { LockError, tryLock, tryRLock, type UnlockFunc } from 'rootlock'

import { child, type Child } from '../helpers/child.mjs'
import { eventually, inTime } from '../helpers/eventually.mjs'
import { hold, QUICK, waiter } from '../helpers/locks.mjs'
import { mustBlock } from '../helpers/must-block.mjs'
import { needing, unix } from '../helpers/needing.mjs'
import { temporaryRoot } from '../helpers/temporary-root.mjs'

const onUnix = needing(test, unix)

const ageMs = async (root: string) => Date.now() - (await stat(join(root, '.lock'))).mtimeMs

async function freeze(t: ExecutionContext, root: string, shared = false) {
  const holder = child(t, 'holder', { root, shared, options: QUICK })
  const { token } = await holder.says('held')
  await holder.freeze(root)
  return { holder, token }
}

/** The holder wakes up and is notified that it was preempted; its unlock resolves all the same. */
async function wakes(t: ExecutionContext, holder: Child, successor: UnlockFunc): Promise<void> {
  holder.thaw()
  const lost = await holder.says('lost')
  t.is(lost.name, 'LockError')
  t.is(lost.code, 'ERR_LOCK_LOST')
  t.is(lost.reason, 'hijacked')
  const log = await holder.says('log')
  t.is(log.level, 'error')
  t.is(log.message, 'lock was lost')
  holder.tell('unlock')
  t.true((await holder.says('unlocked')).lost)
  t.false(successor.signal.aborted, 'the unlock of the one that was preempted is not the successor')
}

for (const shared of [false, true]) {
  const whose = shared ? 'reader' : 'writer'

  onUnix(`a frozen ${whose} loses the lock to one who waited before, and is told`, async (t) => {
    const root = await temporaryRoot(t)
    const holder = child(t, 'holder', { root, shared, options: QUICK })
    const { token } = await holder.says('held')
    const { lock } = waiter(t, root, QUICK)
    await mustBlock(lock)
    await holder.freeze(root)
    const successor = await inTime('it is taken over', lock)
    t.true(successor.token > token)
    await wakes(t, holder, successor)
  })

  onUnix(
    `a frozen ${whose} loses the lock to one who comes when it is stale, and is told`,
    async (t) => {
      const root = await temporaryRoot(t)
      const { holder, token } = await freeze(t, root, shared)
      await eventually('it is stale', async () => (await ageMs(root)) > QUICK.staleMs)
      const begun = performance.now()
      const successor = await hold(t, root, QUICK)
      t.true(performance.now() - begun >= QUICK.heartbeatMs, 'nobody is preempted at first sight')
      t.true(successor.token > token)
      await wakes(t, holder, successor)
    }
  )
}

onUnix('a reader can take over from a frozen writer', async (t) => {
  const root = await temporaryRoot(t)
  const { holder } = await freeze(t, root)
  const successor = await hold(t, root, QUICK, tryRLock)
  await wakes(t, holder, successor)
})

onUnix('consecutive short attempts add up to a watch', async (t) => {
  const root = await temporaryRoot(t)
  await freeze(t, root)
  const successor = await eventually('an attempt takes it over', () =>
    tryLock(root, { ...QUICK, wait: false }).catch((error: LockError) => {
      t.is(error.code, 'ERR_LOCK_UNSUCCESSFUL')
      return undefined
    })
  )
  await successor!()
})

onUnix('a takeover is logged', async (t) => {
  const root = await temporaryRoot(t)
  const { holder } = await freeze(t, root)
  const logs: unknown[][] = []
  const logger = {
    warn: (...log: unknown[]) => logs.push(['warn', ...log]),
    error: (...log: unknown[]) => logs.push(['error', ...log])
  }
  const successor = await hold(t, root, { ...QUICK, logger })
  await eventually('it is logged', () => logs.length > 0)
  const [[level, message, details]] = logs as [[string, string, Record<string, string>]]
  t.is(level, 'warn')
  t.is(message, 'took over a stale lock')
  t.is(details.path, join(root, '.lock'))
  t.is(details.token, String(successor.token))
  t.regex(details.from!, new RegExp(`^pid ${holder.pid} `))
  t.is(logs.length, 1)
})

onUnix('one of many waiters takes over, and the others wait for it', async (t) => {
  const root = await temporaryRoot(t)
  await freeze(t, root)
  const here = Array.from({ length: 5 }, () => waiter(t, root, QUICK).lock)
  const there = [1, 2].map(() => child(t, 'holder', { root, options: QUICK }))
  const all = [...here, ...there.map((other) => other.says('held'))]
  const left = new Set(all.map((_, index) => index))
  while (left.size > 0) {
    const races = [...left].map((index) => Promise.resolve(all[index]).then(() => index))
    const first = await inTime('somebody has it', Promise.race(races))
    left.delete(first)
    if (left.size > 0) await mustBlock(Promise.race([...left].map((index) => all[index])))
    if (first < here.length) await (await here[first]!)()
    else there[first - here.length]!.tell('unlock')
  }
  t.pass()
})
