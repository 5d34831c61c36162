import test from 'ava'

import { child } from '../helpers/child.mjs'
import { eventually, inTime } from '../helpers/eventually.mjs'
import { kernelLocks } from '../helpers/kernel-locks.mjs'
import { hold, waiter } from '../helpers/locks.mjs'
import { mustBlock } from '../helpers/must-block.mjs'
import { linux, needing } from '../helpers/needing.mjs'
import { temporaryRoot } from '../helpers/temporary-root.mjs'
import { worker } from '../helpers/worker.mjs'

for (const next of ['stay', 'spin']) {
  for (const shared of [false, true]) {
    const whose = `${shared ? 'reader' : 'writer'} (${next})`
    test(`a terminated worker frees its lock: ${whose}`, async (t) => {
      const root = await temporaryRoot(t)
      const thread = worker(t, { root, shared, next })
      await thread.says('held')
      const { lock } = waiter(t, root)
      await mustBlock(lock)
      await thread.terminate()
      await inTime('the lock is granted', lock)
      t.pass()
    })
  }
}

test('a terminated worker frees its lock for another process', async (t) => {
  const root = await temporaryRoot(t)
  const thread = worker(t, { root, next: 'spin' })
  await thread.says('held')
  const other = child(t, 'holder', { root })
  await other.says('waiting')
  await thread.terminate()
  await other.says('held')
  t.pass()
})

test('a terminated worker frees all of its many locks', async (t) => {
  const root = await temporaryRoot(t)
  const thread = worker(t, { root, next: 'many locks' })
  await thread.says('held')
  await thread.terminate()
  for (let index = 0; index < 50; index++) {
    await hold(t, root, { fileName: `lock-${index}`, wait: false })
  }
  t.pass()
})

for (const [next, code] of [
  ['end', 0],
  ['exit', 3],
  ['throw', 1]
] as const) {
  test(`a worker that ends by itself frees its lock: ${next}`, async (t) => {
    const root = await temporaryRoot(t)
    const thread = worker(t, { root, next })
    t.is(await thread.ends(), code)
    await hold(t, root, { wait: false })
  })
}

for (const next of ['stay', 'wait and spin', 'wait many times']) {
  test(`a worker can be terminated while it waits: ${next}`, async (t) => {
    const root = await temporaryRoot(t)
    const holder = child(t, 'holder', { root })
    await holder.says('held')
    const thread = worker(t, { root, next })
    await thread.says('waiting')
    await thread.terminate()
    holder.tell('unlock')
    await holder.says('unlocked')
    await hold(t, root)
    t.pass()
  })
}

needing(test, linux)('nothing of a terminated waiter is left in the kernel', async (t) => {
  const root = await temporaryRoot(t)
  const holder = child(t, 'holder', { root })
  await holder.says('held')
  for (let round = 0; round < 5; round++) {
    const thread = worker(t, { root })
    await thread.says('waiting')
    await thread.terminate()
  }
  // The environment's hook does not wait for the thread that waits in the kernel.
  await eventually('they are gone', () => kernelLocks(root).length === 1)
  t.deepEqual(kernelLocks(root), [{ waits: false, mode: 'WRITE', pid: holder.pid }])
})

test('workers terminated in the middle of locking leave nothing behind', async (t) => {
  const root = await temporaryRoot(t)
  for (let round = 0; round < 10; round++) {
    const threads = [1, 2].map(() => worker(t, { root, next: 'hammer' }))
    await Promise.all(threads.map((thread) => thread.says('locks')))
    for (let turn = 0; turn < 10 * round; turn++) await new Promise(setImmediate)
    await Promise.all(threads.map((thread) => thread.terminate()))
    await (
      await hold(t, root)
    )()
  }
  t.pass()
})
