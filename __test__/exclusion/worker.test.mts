import test from 'ava'

import { inTime } from '../helpers/eventually.mjs'
import { hold, waiter } from '../helpers/locks.mjs'
import { mustBlock } from '../helpers/must-block.mjs'
import { temporaryRoot } from '../helpers/temporary-root.mjs'
import { worker } from '../helpers/worker.mjs'

test('the locks of two workers exclude each other', async (t) => {
  const root = await temporaryRoot(t)
  const first = worker(t, { root, next: 'unlock when told' })
  await first.says('held')
  const second = worker(t, { root, next: 'unlock when told' })
  await second.says('waiting')
  const held = second.says('held')
  await mustBlock(held)
  first.tell('unlock')
  await held
  await mustBlock(waiter(t, root).lock)
  t.pass()
})

test('a worker and the main thread exclude each other', async (t) => {
  const root = await temporaryRoot(t)
  const unlock = await hold(t, root)
  const thread = worker(t, { root, next: 'unlock when told' })
  await thread.says('waiting')
  await unlock()
  await thread.says('held')
  const { lock } = waiter(t, root)
  await mustBlock(lock)
  thread.tell('unlock')
  await inTime('the main thread has it', lock)
  t.pass()
})

test('readers in workers share the lock', async (t) => {
  const root = await temporaryRoot(t)
  const threads = [1, 2, 3].map(() => worker(t, { root, shared: true, next: 'stay' }))
  for (const thread of threads) await thread.says('held')
  await mustBlock(waiter(t, root).lock)
  t.pass()
})

test("a worker's held lock lets the worker end, a waiting one keeps it alive", async (t) => {
  const root = await temporaryRoot(t)
  const unlock = await hold(t, root)
  const thread = worker(t, { root, next: 'end' })
  await thread.says('waiting')
  const ends = thread.ends()
  await mustBlock(ends)
  await unlock()
  t.is(await ends, 0)
})

test("the end of a worker leaves the main thread's locks and waits alone", async (t) => {
  const root = await temporaryRoot(t)
  const unlock = await hold(t, root, { heartbeatMs: 50, staleMs: 30_000 })
  const { lock } = waiter(t, root)
  for (let round = 0; round < 3; round++) {
    const thread = worker(t, { root })
    await thread.says('waiting')
    await thread.terminate()
  }
  await mustBlock(lock)
  t.false(unlock.signal.aborted)
  await unlock()
  await inTime('the lock is granted', lock)
})

test('a worker acquires the lock while the main thread is blocked', async (t) => {
  const root = await temporaryRoot(t)
  const thread = worker(t, { root, next: 'unlock when told' })
  await thread.says('held')
  const other = worker(t, { root, next: 'stay' })
  await other.says('waiting')
  thread.tell('unlock')
  const until = performance.now() + 200
  while (performance.now() < until);
  await other.says('held')
  t.pass()
})
