import test from 'ava'

import { child } from '../helpers/child.mjs'
import { eventually } from '../helpers/eventually.mjs'
import { kernelLocks } from '../helpers/kernel-locks.mjs'
import { hold, waiter } from '../helpers/locks.mjs'
import { mustBlock } from '../helpers/must-block.mjs'
import { linux, needing, unix } from '../helpers/needing.mjs'
import { temporaryRoot } from '../helpers/temporary-root.mjs'

needing(test, unix)('a process that waits hears its signals, and goes on waiting', async (t) => {
  const root = await temporaryRoot(t)
  const unlock = await hold(t, root)
  const waiting = child(t, 'holder', { root })
  await waiting.says('waiting')
  const held = waiting.says('held')
  for (let round = 0; round < 20; round++) {
    waiting.kill('SIGUSR2')
    await waiting.says('signal')
  }
  await mustBlock(held)
  await unlock()
  await held
  waiting.kill('SIGUSR2')
  await waiting.says('signal')
  t.pass()
})

needing(test, linux)('a signal does not cost a waiter its place in the kernel', async (t) => {
  const root = await temporaryRoot(t)
  const unlock = await hold(t, root)
  const order: string[] = []
  const line = []
  for (const name of ['first', 'second', 'third']) {
    const waiting = child(t, 'holder', { root })
    await waiting.says('waiting')
    await eventually('it waits in the kernel', () =>
      kernelLocks(root).some(({ pid, waits }) => waits && pid === waiting.pid)
    )
    line.push({ name, waiting })
  }
  for (const { waiting } of line) {
    waiting.kill('SIGUSR2')
    await waiting.says('signal')
  }
  await unlock()
  for (const { name, waiting } of line) {
    await waiting.says('held')
    order.push(name)
    t.false(line.some((other) => other.waiting.hasSaid('held')))
    waiting.tell('unlock')
    await waiting.says('unlocked')
  }
  t.deepEqual(order, ['first', 'second', 'third'])
})

needing(test, unix)(
  'a stopped waiter that continues acquires the lock that became free meanwhile',
  async (t) => {
    const root = await temporaryRoot(t)
    const unlock = await hold(t, root)
    const waiting = child(t, 'holder', { root })
    await waiting.says('waiting')
    await waiting.freeze()
    await unlock()
    waiting.thaw()
    await waiting.says('held')
    await mustBlock(waiter(t, root).lock)
    waiting.kill('SIGTERM')
    t.deepEqual(await waiting.ends(), { code: null, signal: 'SIGTERM' })
  }
)
