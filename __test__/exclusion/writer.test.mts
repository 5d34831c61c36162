import test from 'ava'
import { LockError, tryLock, tryRLock } from 'rootlock'

import { child } from '../helpers/child.mjs'
import { inTime } from '../helpers/eventually.mjs'
import { hold, waiter } from '../helpers/locks.mjs'
import { mustBlock } from '../helpers/must-block.mjs'
import { temporaryRoot } from '../helpers/temporary-root.mjs'

for (const [name, take] of [
  ['writers', tryLock],
  ['readers', tryRLock]
] as const) {
  test(`a writer excludes ${name} until their deadline`, async (t) => {
    const root = await temporaryRoot(t)
    await hold(t, root)
    const signal = AbortSignal.timeout(100)
    const error = await t.throwsAsync(inTime('the deadline is kept', take(root, { signal })), {
      instanceOf: LockError,
      code: 'ERR_LOCK_UNSUCCESSFUL',
      message: /^store is locked/
    })
    t.is(error.cause, signal.reason)
    t.is((error.cause as Error).name, 'TimeoutError')
  })

  test(`a writer in another process excludes ${name} until their deadline`, async (t) => {
    const root = await temporaryRoot(t)
    const holder = child(t, 'holder', { root })
    await holder.says('held')
    const signal = AbortSignal.timeout(100)
    const error = await t.throwsAsync(inTime('the deadline is kept', take(root, { signal })), {
      instanceOf: LockError,
      code: 'ERR_LOCK_UNSUCCESSFUL',
      message: new RegExp(`^store is locked by pid ${holder.pid} `)
    })
    t.is(error.cause, signal.reason)
    t.is(error.holder?.pid, holder.pid)
  })

  test(`a writer excludes ${name} that make one attempt`, async (t) => {
    const root = await temporaryRoot(t)
    await hold(t, root)
    const error = await t.throwsAsync(take(root, { wait: false }), {
      instanceOf: LockError,
      code: 'ERR_LOCK_UNSUCCESSFUL',
      message: /^store is locked/
    })
    t.false('cause' in error)
  })

  test(`waiting ${name} acquire the lock when the writer releases it`, async (t) => {
    const root = await temporaryRoot(t)
    const unlock = await hold(t, root)
    const { lock } = waiter(t, root, {}, take)
    await mustBlock(lock)
    await unlock()
    await inTime('the lock is granted', lock)
    t.pass()
  })

  test(`waiting ${name} acquire the lock when a writer in another process releases it`, async (t) => {
    const root = await temporaryRoot(t)
    const holder = child(t, 'holder', { root })
    await holder.says('held')
    const { lock } = waiter(t, root, {}, take)
    await mustBlock(lock)
    holder.tell('unlock')
    await inTime('the lock is granted', lock)
    t.false((await holder.says('unlocked')).lost)
  })
}

test('one attempt acquires a free lock that was held before', async (t) => {
  const root = await temporaryRoot(t)
  const holder = child(t, 'holder', { root })
  await holder.says('held')
  holder.tell('unlock')
  await holder.says('unlocked')
  await hold(t, root, { wait: false })
  t.pass()
})
