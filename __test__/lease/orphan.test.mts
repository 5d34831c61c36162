import { join } from 'node:path'

import test, { type ExecutionContext } from 'ava'

import { child } from '../helpers/child.mjs'
import { inTime } from '../helpers/eventually.mjs'
import { kernelLocks } from '../helpers/kernel-locks.mjs'
import { hold, QUICK, waiter } from '../helpers/locks.mjs'
import { mustBlock } from '../helpers/must-block.mjs'
import { linux, needing } from '../helpers/needing.mjs'
import { temporaryRoot } from '../helpers/temporary-root.mjs'

const onLinux = needing(test, linux)

/** A holder that left a program behind, which has the lock file's descriptor or not. */
async function leaveBehind(t: ExecutionContext, root: string, leak: boolean, options = {}) {
  const holder = child(t, 'holder', { root, options })
  await holder.says('held')
  holder.tell('spawn', leak ? { leak: join(root, '.lock') } : {})
  const { pid } = (await holder.says('spawned')) as unknown as { pid: number }
  t.teardown(() => process.kill(pid, 'SIGKILL'))
  holder.kill()
  await holder.ends()
  t.notThrows(() => process.kill(pid, 0), 'it lives')
  return { holder, pid }
}

onLinux('a program that a killed holder left behind does not inherit the lock', async (t) => {
  const root = await temporaryRoot(t)
  await leaveBehind(t, root, false)
  t.deepEqual(kernelLocks(root), [])
  await hold(t, root, { wait: false })
})

onLinux('a lock that only a leaked descriptor holds is taken over at once', async (t) => {
  const root = await temporaryRoot(t)
  const { holder } = await leaveBehind(t, root, true)
  t.deepEqual(kernelLocks(root), [{ waits: false, mode: 'WRITE', pid: holder.pid }])
  const begun = performance.now()
  await hold(t, root)
  t.true(performance.now() - begun < 20_000, 'long before it is stale')
})

onLinux('one attempt is enough for a lock that only a leaked descriptor holds', async (t) => {
  const root = await temporaryRoot(t)
  await leaveBehind(t, root, true)
  await hold(t, root, { wait: false })
  t.pass()
})

onLinux(
  'with recover: false, a lock that only a leaked descriptor holds is waited for',
  async (t) => {
    const root = await temporaryRoot(t)
    const { pid } = await leaveBehind(t, root, true, QUICK)
    const { lock } = waiter(t, root, { ...QUICK, recover: false })
    await mustBlock(lock)
    process.kill(pid, 'SIGKILL')
    await inTime('the lock is granted', lock)
    t.pass()
  }
)
