import { readdir } from 'node:fs/promises'

import test, { type ExecutionContext } from 'ava'
import {
  tryLock,
  tryLockSync,
  tryRLock,
  tryRLockSync,
  withLock,
  type LockError,
  type SyncLockOptions
} from 'rootlock'

import { child, fixture, program, type Child } from '../helpers/child.mjs'
import { DEADLINE, eventually, inTime } from '../helpers/eventually.mjs'
import { kernelLocks } from '../helpers/kernel-locks.mjs'
import { hold, QUICK, waiter } from '../helpers/locks.mjs'
import { linux, needing, notWine, unix } from '../helpers/needing.mjs'
import { temporaryRoot } from '../helpers/temporary-root.mjs'
import { worker } from '../helpers/worker.mjs'

/** Much longer than it takes on a busy machine. */
const LONG = { timeoutMs: DEADLINE }

/** A process that takes the lock by a call that blocks. */
function blocked(
  t: ExecutionContext,
  task: { root: string; at?: string; options?: object }
): Child {
  const line = [fixture('sync'), JSON.stringify({ options: LONG, ...task })]
  return program(t, process.execPath, line)
}

/** Says that it may release. */
function release(holder: Child): void {
  holder.process.stdin!.end()
}

function fails(t: ExecutionContext, reason: string, call: () => unknown, what?: string): LockError {
  const error = t.throws<LockError>(call, { code: 'ERR_LOCK_UNSUCCESSFUL' }, what)
  t.is(error.reason, reason as never, what)
  return error
}

for (const [take, other] of [
  [tryLockSync, tryRLockSync],
  [tryRLockSync, tryLockSync]
] as const) {
  test(`one attempt takes a free lock, and throws at a held one: ${take.name}`, async (t) => {
    const root = await temporaryRoot(t)
    const unlock = take(root)
    t.true(unlock.token > 0)
    const error = fails(t, 'held', () => other(root))
    t.is(error.holder!.pid, process.pid)
    unlock.sync()
    const next = other(root)
    t.true(next.token > unlock.token)
    next.sync()
  })
}

test('a call that blocks gets the lock that another process releases', async (t) => {
  const root = await temporaryRoot(t)
  const unlock = await hold(t, root)
  const other = blocked(t, { root })
  await other.prints('waiting\n')
  await unlock()
  await other.prints('held')
  t.true(Number(/held (\d+)/.exec(other.printed)![1]) > unlock.token)
  fails(t, 'held', () => tryLockSync(root))
  release(other)
  await other.prints('unlocked')
  tryLockSync(root, LONG).sync()
})

/** Nothing documents the order in which Windows grants a lock, and Wine has none. */
needing(test, notWine)(
  'a call that blocks is in line with those that do not, of other processes too',
  async (t) => {
    const root = await temporaryRoot(t)
    const unlock = await hold(t, root)
    const first = child(t, 'holder', { root })
    await first.says('waiting')
    const second = blocked(t, { root })
    await second.prints('waiting\n')
    // It says so when it begins; its place is the one that it has in the kernel. A process leaves the queue before the lock
    // after 100 ms: if that is when the lock is released, it may overtake.
    const waiting = (count: number) =>
      eventually(
        'they wait in the kernel for the lock itself',
        () => kernelLocks(root).filter(({ waits }) => waits).length === count
      )
    if (!linux) await waiting(2)
    const third = child(t, 'holder', { root })
    await third.says('waiting')
    if (!linux) await waiting(3)
    await unlock()
    await first.says('held')
    first.tell('unlock')
    await second.prints('held ')
    t.regex(second.printed, /^waiting\nheld \d+\n$/)
    t.false(third.hasSaid('held'))
    release(second)
    await third.says('held')
  }
)

needing(test, linux)(
  'a wait that takes too long throws, with the holder, and leaves nothing',
  async (t) => {
    const root = await temporaryRoot(t)
    const holder = child(t, 'holder', { root })
    await holder.says('held')
    for (const timeoutMs of [0, 0.5, 1, 20]) {
      const error = fails(t, 'held', () => tryLockSync(root, { timeoutMs }))
      t.is(error.holder!.pid, holder.pid)
      t.regex(error.message, /^store is locked by pid/)
      t.false('cause' in error)
      t.deepEqual(kernelLocks(root), [{ waits: false, mode: 'WRITE', pid: holder.pid }])
    }
  }
)

needing(test, unix)('attempts that do not wait take over from a frozen holder', async (t) => {
  const root = await temporaryRoot(t)
  const holder = child(t, 'holder', { root, options: QUICK })
  const { token } = await holder.says('held')
  await holder.freeze(root)
  const unlock = await eventually('it is taken over', () => {
    try {
      return tryLockSync(root, QUICK)
    } catch (error) {
      t.is((error as LockError).reason, 'held')
      return undefined
    }
  })
  t.true(unlock!.token > token)
  unlock!.sync()
})

needing(test, unix)('a call that blocks takes over from a frozen holder', async (t) => {
  const root = await temporaryRoot(t)
  const holder = child(t, 'holder', { root, options: QUICK })
  const { token } = await holder.says('held')
  await holder.freeze(root)
  const told: string[] = []
  const logger = { warn: (message: string) => void told.push(message), error: t.fail }
  const unlock = tryLockSync(root, { ...LONG, ...QUICK, logger })
  t.true(unlock.token > token)
  t.deepEqual(told, ['took over a stale lock'])
  unlock.sync()
})

test('a thread that blocks gets the lock of another thread', async (t) => {
  const root = await temporaryRoot(t)
  const thread = worker(t, { root, next: 'unlock when told' })
  await thread.says('held')
  thread.tell('unlock')
  tryLockSync(root, LONG).sync()
  const unlock = await hold(t, root)
  const other = worker(t, { root, next: 'block' })
  await other.says('waiting')
  unlock.sync()
  await other.says('held')
  other.tell('unlock')
  tryLockSync(root, LONG).sync()
  t.pass()
})

test('a wait for what this thread holds is refused at once', async (t) => {
  const root = await temporaryRoot(t)
  for (const [own, wanted] of [
    [tryLock, tryLockSync],
    [tryLock, tryRLockSync],
    [tryRLock, tryLockSync]
  ] as const) {
    const unlock = await own(root)
    // A limit that passes before the directory is open makes it one attempt, which does not wait.
    for (const timeoutMs of [linux ? DEADLINE : 1, DEADLINE, Infinity]) {
      const error = fails(t, 'deadlock', () => wanted(root, { timeoutMs }))
      t.regex(error.message, /^store is locked by this thread/)
    }
    fails(t, 'held', () => wanted(root))
    await unlock()
  }
  await withLock(root, () => {
    const error = fails(t, 'deadlock', () => tryLockSync(root, LONG))
    // Where the path is not resolved at once, it turns out later, and both are true.
    t.regex(error.message, /^store is locked by (the withLock around this call|this thread)/)
  })
  const reader = await tryRLock(root)
  tryRLockSync(root, LONG).sync()
  await reader()
})

test('what waits in this thread lets a call that blocks pass, and is next', async (t) => {
  const root = await temporaryRoot(t)
  const thread = worker(t, { root, next: 'unlock when told' })
  await thread.says('held')
  const waits = [waiter(t, root), waiter(t, root, {}, tryRLock)]
  // Not before it is in line: those of this thread would have the lock, and nobody could release it.
  const onWait = () => void thread.tell('unlock')
  const unlock = tryLockSync(root, { ...LONG, onWait })
  unlock.sync()
  for (const { lock } of waits) {
    const later = await inTime('it is granted', lock)
    t.true(later.token > unlock.token)
    await later()
  }
})

test('onWait is called once while the call blocks, and may do what it wants', async (t) => {
  const root = await temporaryRoot(t)
  const holder = child(t, 'holder', { root })
  await holder.says('held')
  const ways: [reason: string | undefined, options: SyncLockOptions][] = []
  const controller = new AbortController()
  ways.push(['aborted', { signal: controller.signal, onWait: () => controller.abort() }])
  let inner: LockError | undefined
  const onWait = () => {
    inner = fails(t, 'deadlock', () => tryLockSync(root, LONG))
    throw inner
  }
  ways.push(['deadlock', { onWait }])
  for (const [reason, options] of ways)
    fails(t, reason!, () => tryLockSync(root, { ...LONG, ...options }))
  t.throws(
    () =>
      tryLockSync(root, {
        ...LONG,
        onWait: () => {
          throw new Error('enough')
        }
      }),
    { message: 'enough' }
  )
  const waited: (number | undefined)[] = []
  fails(t, 'held', () =>
    tryLockSync(root, { timeoutMs: 200, onWait: (who) => waited.push(who?.pid) })
  )
  t.deepEqual(waited, [holder.pid])
  holder.tell('unlock')
  await holder.says('unlocked')
  tryLockSync(root).sync()
})

test('a signal that is aborted already throws, and nothing is created', async (t) => {
  const root = await temporaryRoot(t)
  const signal = AbortSignal.abort()
  const error = fails(t, 'aborted', () => tryLockSync(root, { signal }))
  t.is(error.cause, signal.reason)
  t.deepEqual(await readdir(root), [])
})

for (const at of ['exit', 'exit with a waiter']) {
  test(`a listener for exit can lock: ${at}`, async (t) => {
    const root = await temporaryRoot(t)
    const unlock = await hold(t, root)
    const other = blocked(t, { root, at })
    await other.prints('waiting\n')
    await unlock()
    await other.prints('held')
    release(other)
    t.is((await other.ends()).code, 0)
    t.regex(other.printed, /unlocked\n$/)
    tryLockSync(root).sync()
  })
}

test('a process ends while its worker blocks, and the worker leaves nothing', async (t) => {
  const root = await temporaryRoot(t)
  const unlock = await hold(t, root)
  const other = blocked(t, { root, at: 'exit with a blocked worker' })
  t.is((await other.ends()).code, 3)
  await unlock()
  tryLockSync(root).sync()
})

test('a worker can be terminated while it blocks', async (t) => {
  const root = await temporaryRoot(t)
  const unlock = await hold(t, root)
  for (let round = 0; round < 3; round++) {
    const thread = worker(t, { root, next: 'block' })
    await thread.says('waiting')
    await thread.terminate()
  }
  unlock.sync()
  tryLockSync(root, LONG).sync()
  t.pass()
})

for (const signal of ['SIGKILL', 'SIGINT'] as const) {
  needing(test, unix)(
    `a process that blocks dies of ${signal}, and is waited for by nobody`,
    async (t) => {
      const root = await temporaryRoot(t)
      const unlock = await hold(t, root)
      const other = blocked(t, { root })
      await other.prints('waiting\n')
      const next = child(t, 'holder', { root })
      await next.says('waiting')
      other.kill(signal)
      t.is((await other.ends()).signal, signal)
      await unlock()
      await next.says('held')
    }
  )
}
