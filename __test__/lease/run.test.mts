// A run: callers of one process that hand the lock on under one lease.

import { rm } from 'node:fs/promises'
import { join } from 'node:path'

import test from 'ava'
import { inspect, tryLock } from 'rootlock'

import { child } from '../helpers/child.mjs'
import { eventually, inTime } from '../helpers/eventually.mjs'
import { hold, QUICK } from '../helpers/locks.mjs'
import { needing, notWine } from '../helpers/needing.mjs'
import { temporaryRoot } from '../helpers/temporary-root.mjs'

test('tokens rise in the order of grants, in the process and beyond', async (t) => {
  const root = await temporaryRoot(t)
  const unlock = await hold(t, root)
  const tokens = [unlock.token]
  const all = Array.from({ length: 2_000 }, async () => {
    const mine = await tryLock(root)
    tokens.push(mine.token)
    await mine()
  })
  await unlock()
  await inTime('all had it', Promise.all(all))
  const other = child(t, 'holder', { root })
  tokens.push((await other.says('held')).token)
  t.true(tokens.every((token, index) => index === 0 || token > tokens[index - 1]!))
})

test('callers with terms of their own take part', async (t) => {
  const root = await temporaryRoot(t)
  const unlock = await hold(t, root)
  let last = unlock.token
  const all = Array.from({ length: 100 }, async (_, index) => {
    const mine = await tryLock(root, index % 3 ? {} : QUICK)
    t.true(mine.token > last)
    last = mine.token
    await mine()
  })
  await unlock()
  await inTime('all had it', Promise.all(all))
})

test('the record is the present holder’s, not that of the run’s first grant', async (t) => {
  const root = await temporaryRoot(t)
  const first = await hold(t, root)
  const asked = Array.from({ length: 5 }, () => tryLock(root))
  await first()
  for (const next of asked.slice(0, 4)) await (await next)()
  const last = await asked[4]!
  await eventually('the record names it', async () => {
    return (await inspect(root)).holder?.token === last.token
  })
  t.true((await inspect(root)).holder!.acquiredAt! <= new Date())
  await last()
})

needing(test, notWine)('who holds a lock by a run is told when its file is removed', async (t) => {
  const root = await temporaryRoot(t)
  const first = await hold(t, root, QUICK)
  const asked = [tryLock(root, QUICK), tryLock(root, QUICK)]
  await first()
  await (
    await asked[0]!
  )()
  const preempted = await asked[1]!
  await rm(join(root, '.lock'))
  await eventually('it is told', () => preempted.signal.aborted)
  t.like(preempted.signal.reason, { code: 'ERR_LOCK_LOST', reason: 'hijacked' })
  await preempted()
})
