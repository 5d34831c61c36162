// What the package promises, checked with nothing but what every runtime has.

import assert from 'node:assert/strict'
import { AsyncLocalStorage } from 'node:async_hooks'
import { mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { Worker } from 'node:worker_threads'

import {
  inspect,
  inspectSync,
  LockError,
  openRoot,
  openRootSync,
  tryLock,
  tryLockSync,
  tryRLock,
  tryRLockSync,
  withLock,
  withLogger,
  type Holder
} from 'rootlock'

import { eventually, inTime } from '../helpers/eventually.mjs'
import { mustBlock } from '../helpers/must-block.mjs'
import {
  checkAll,
  claim,
  claimOfDirectory,
  rejection,
  runtime,
  thrown,
  type Later
} from './check.mjs'
import { count } from './count.mjs'
import { Actor, other } from './process.mjs'
import type { Next } from './worker.mjs'

const QUICK = { heartbeatMs: 200, staleMs: 1_000 }

claim('a lock excludes another process, which acquires it next', async ({ root, place, later }) => {
  const unlock = await tryLock(root)
  const waiter = new Actor(later, { root: place })
  await waiter.says('waiting')
  const held = waiter.says('held')
  await mustBlock(held)
  await unlock()
  assert.ok((await held).token! > unlock.token)
})

claim('a process that is killed frees its lock', async ({ root, place, later }) => {
  const holder = new Actor(later, { root: place })
  await holder.says('held')
  const lock = tryLock(root)
  await mustBlock(lock)
  holder.kill()
  await (
    await inTime('the lock is granted', lock)
  )()
})

claim('readers share a lock, a writer waits for all of them', async ({ root, place, later }) => {
  const readers = [await tryRLock(root), await tryRLock(root)]
  const reader = new Actor(later, { root: place, shared: true })
  await reader.says('held')
  const writer = tryLock(root)
  await mustBlock(writer)
  for (const unlock of readers) await unlock()
  await mustBlock(writer)
  reader.tell('unlock')
  await reader.says('unlocked')
  await (
    await inTime('the lock is granted', writer)
  )()
})

claim(
  'an abort ends a wait, with its reason, and leaves nothing',
  async ({ root, place, later }) => {
    const holder = new Actor(later, { root: place })
    await holder.says('held')
    const controller = new AbortController()
    const lock = tryLock(root, { signal: controller.signal })
    await mustBlock(lock)
    const reason = new Error('enough')
    controller.abort(reason)
    const error = await rejection<LockError>(lock)
    assert.ok(error instanceof LockError)
    assert.equal(error.code, 'ERR_LOCK_UNSUCCESSFUL')
    assert.equal(error.cause, reason)
    holder.tell('unlock')
    await holder.says('unlocked')
    const next = new Actor(later, { root: place, options: { wait: false } })
    await next.says('held')
  }
)

claim('AbortSignal.timeout ends a wait', async ({ root }) => {
  const unlock = await tryLock(root)
  const error = await rejection<LockError>(tryLock(root, { signal: AbortSignal.timeout(50) }))
  assert.equal((error.cause as Error).name, 'TimeoutError')
  await unlock()
})

claimOfDirectory('a call with an aborted signal creates nothing', async (root) => {
  const signal = AbortSignal.abort()
  const error = await rejection<LockError>(tryLock(root, { signal }))
  assert.equal(error.cause, signal.reason)
  assert.deepEqual(readdirSync(root), [])
})

claim('one attempt at a held lock names the holder', async ({ root, place, later }) => {
  const holder = new Actor(later, { root: place })
  const token = (await holder.says('held')).token!
  const error = await rejection<LockError>(tryLock(root, { wait: false }))
  assert.equal(error.code, 'ERR_LOCK_UNSUCCESSFUL')
  assert.match(error.message, new RegExp(`^store is locked by pid ${holder.pid} `))
  assert.equal(error.holder?.pid, holder.pid)
  assert.equal(error.holder?.token, token)
  assert.ok(error.holder?.acquiredAt instanceof Date)
})

claim('tokens rise across processes, modes and crashes', async ({ root, place, later }) => {
  let last = 0
  for (let round = 0; round < 3; round++) {
    const holder = new Actor(later, { root: place, shared: round === 1 })
    const token = (await holder.says('held')).token!
    holder.kill()
    await holder.ends()
    const unlock = await tryLock(root)
    await unlock()
    assert.ok(token > last && unlock.token > token)
    last = unlock.token
  }
})

claimOfDirectory('a holder whose lock file is moved away is notified', async (root) => {
  const unlock = await tryLock(root, { heartbeatMs: 50, staleMs: 30_000 })
  const { signal } = unlock
  renameSync(join(root, '.lock'), join(root, 'elsewhere'))
  await eventually('it is told', () => signal.aborted)
  const reason = signal.reason as LockError
  assert.ok(reason instanceof LockError)
  assert.equal(reason.code, 'ERR_LOCK_LOST')
  assert.equal(reason.reason, 'hijacked')
  await unlock()
})

if (process.platform !== 'win32') {
  claim(
    'a frozen holder is preempted, and notified when it wakes up',
    async ({ root, place, later }) => {
      const holder = new Actor(later, { root: place, options: QUICK })
      const token = (await holder.says('held')).token!
      holder.kill('SIGSTOP')
      const unlock = await inTime('the lock is granted', tryLock(root, QUICK))
      assert.ok(unlock.token > token)
      holder.kill('SIGCONT')
      assert.equal((await holder.says('lost')).reason, 'hijacked')
      assert.equal(unlock.signal.aborted, false)
      await unlock()
    }
  )
}

claim('a wait has a limit, and then says who holds the lock', async ({ root, place, later }) => {
  const holder = new Actor(later, { root: place })
  await holder.says('held')
  const error = await rejection<LockError>(tryLock(root, { timeoutMs: 50 }))
  assert.equal(error.reason, 'held')
  assert.equal(error.holder?.pid, holder.pid)
})

claim(
  'a call that blocks gets the lock that another process releases',
  async ({ root, place, later }) => {
    const holder = new Actor(later, { root: place })
    const { token } = await holder.says('held')
    const reasons = [0, 50].map(
      (timeoutMs) => thrown(() => tryLockSync(root, { timeoutMs })).reason
    )
    assert.deepEqual(reasons, ['held', 'held'])
    assert.equal(inspectSync(root).holder?.pid, holder.pid)
    let waited = 0
    holder.tell('unlock soon')
    await holder.says('told')
    const unlock = tryLockSync(root, { timeoutMs: 30_000, onWait: () => waited++ })
    assert.ok(unlock.token > token! && waited <= 1)
    assert.equal(thrown(() => tryRLockSync(root, { timeoutMs: 30_000 })).reason, 'deadlock')
    unlock.sync()
    using opened = openRootSync(place)
    using first = tryRLockSync(opened)
    using second = tryRLockSync(root, { timeoutMs: 30_000 })
    assert.ok(second.token > first.token)
  }
)

claim('only the first unlock releases, and all return one promise', async ({ root }) => {
  const unlock = await tryLock(root)
  const first = unlock()
  assert.equal(unlock(), first)
  await first
  const next = await tryLock(root, { wait: false })
  assert.equal(unlock(), first)
  await rejection(tryLock(root, { wait: false }))
  await next()
})

claim('await using releases a lock', async ({ root }) => {
  {
    await using lock = await tryLock(root)
    assert.ok(lock.token > 0)
    await rejection(tryLock(root, { wait: false }))
  }
  await (
    await tryLock(root, { wait: false })
  )()
})

claim('withLock unlocks, whether the work succeeds or fails', async ({ root }) => {
  assert.equal(await withLock(root, (signal) => Promise.resolve(signal.aborted)), false)
  const failure = new Error('work')
  assert.equal(await rejection(withLock(root, () => Promise.reject(failure))), failure)
  await withLock(root, () => rejection(tryLock(root, { wait: false })))
  await withLock(root, async () => await (await tryRLock(root))(), { shared: true })
})

claimOfDirectory('a logger follows the asynchronous context', async (root) => {
  const heard: string[] = []
  const logger = { warn: () => {}, error: (message: string) => void heard.push(message) }
  const beside = new AsyncLocalStorage<number>()
  const unlock = await beside.run(1, () =>
    withLogger(logger, async () => {
      await new Promise((resolve) => setTimeout(resolve, 1))
      return tryLock(root, { heartbeatMs: 50, staleMs: 30_000 })
    })
  )
  renameSync(join(root, '.lock'), join(root, 'elsewhere'))
  await eventually('it is logged', () => heard.length > 0)
  assert.deepEqual(heard, ['lock was lost'])
  await unlock()
})

claim(
  'inspect reports the state of a lock without taking it',
  async ({ root, place, directory, later }) => {
    assert.equal((await inspect(root)).state, 'free')
    assert.deepEqual(readdirSync(directory), [])
    const reader = await tryRLock(root)
    assert.equal((await inspect(root)).state, 'shared')
    await reader()
    const writer = new Actor(later, { root: place })
    await writer.says('held')
    const state = await inspect(root)
    assert.equal(state.state, 'exclusive')
    assert.equal(state.holder?.pid, writer.pid)
    assert.equal(state.holder?.mode, 'exclusive')
    writer.tell('unlock')
    await writer.says('unlocked')
    assert.equal((await inspect(root)).state, 'free')
  }
)

claimOfDirectory(
  'an opened root stays the same directory when its path is renamed',
  async (root, later) => {
    const path = join(root, 'before')
    mkdirSync(path)
    const opened = await openRoot(pathToFileURL(path))
    let now = path
    if (process.platform !== 'win32') {
      now = join(root, 'after')
      renameSync(path, now)
    }
    const unlock = await tryLock(opened)
    const error = await rejection<LockError>(tryLock(now, { wait: false }))
    assert.equal(error.holder?.pid, process.pid)
    await unlock()
    await opened.close()
    assert.equal((await rejection<LockError>(tryLock(opened))).code, 'ERR_ROOT_CLOSED')
    later(() => opened.close())
  }
)

claim('a waiter is notified once, with the holder', async ({ root, place, later }) => {
  const holder = new Actor(later, { root: place })
  await holder.says('held')
  const told: (number | undefined)[] = []
  const lock = tryLock(root, { onWait: (who?: Holder) => void told.push(who?.pid) })
  await eventually('it is told', () => told.length > 0)
  holder.tell('unlock')
  await (
    await inTime('the lock is granted', lock)
  )()
  assert.deepEqual(told, [holder.pid])
})

claimOfDirectory("the system's errors are shaped as Node's own", async (root) => {
  const path = join(root, 'missing')
  const error = await rejection<LockError>(tryLock(path))
  assert.equal(error.code, 'ERR_LOCK_UNSUCCESSFUL')
  const cause = error.cause as NodeJS.ErrnoException
  assert.equal(cause.code, 'ENOENT')
  assert.equal(cause.syscall, 'open')
  assert.equal(typeof cause.errno, 'number')
  assert.equal(cause.path, path)
})

claim('wrong arguments are refused at once', async ({ root, directory }) => {
  for (const [call, name, code] of [
    [() => tryLock(42 as never), 'TypeError', 'ERR_INVALID_ARG_TYPE'],
    [() => tryLock(root, { fileName: 'a/b' }), 'RangeError', 'ERR_OUT_OF_RANGE'],
    [() => tryLock(root, { heartbeatMs: 1 }), 'RangeError', 'ERR_OUT_OF_RANGE'],
    [() => tryLock(root, { signal: {} as never }), 'TypeError', 'ERR_INVALID_ARG_TYPE']
  ] as const) {
    const error = await rejection<NodeJS.ErrnoException>(call())
    assert.equal(error.name, name)
    assert.equal(error.code, code)
  }
  assert.deepEqual(readdirSync(directory), [])
})

claim('the event loop turns during a wait', async ({ root, place, later }) => {
  const holder = new Actor(later, { root: place })
  await holder.says('held')
  const lock = tryLock(root)
  for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setTimeout(resolve, 1))
  await mustBlock(lock)
  holder.tell('unlock')
  await (
    await inTime('the lock is granted', lock)
  )()
})

claim('many waiters are served, in order', async ({ root }) => {
  const unlock = await tryLock(root)
  const order: number[] = []
  const all = Array.from({ length: 200 }, async (_, index) => {
    await using lock = await tryLock(root)
    order.push(index)
    assert.ok(lock.token > unlock.token)
  })
  await unlock()
  await inTime('all are granted', Promise.all(all))
  assert.deepEqual(
    order,
    order.map((_, index) => index)
  )
})

claim('no step is lost between processes', async ({ root, place, directory, later }) => {
  writeFileSync(join(directory, 'counter'), '0')
  const actors = [1, 2].map(() => new Actor(later, { root: place, count: 50, directory }))
  await Promise.all([count(root, directory, 50), ...actors.map((actor) => actor.says('counted'))])
  assert.equal(readFileSync(join(directory, 'counter'), 'utf8'), '150')
})

claim(
  'a process that exits with a held lock ends at once and frees it',
  async ({ root, place, later }) => {
    const holder = new Actor(later, { root: place })
    await holder.says('held')
    const waiter = new Actor(later, { root: place })
    await waiter.says('waiting')
    waiter.tell('exit')
    assert.equal(await waiter.ends(), 7)
    holder.tell('exit')
    assert.equal(await holder.ends(), 7)
    await (
      await tryLock(root, { wait: false })
    )()
  }
)

claim('a held lock does not keep a process alive, a wait does', async ({ place, later }) => {
  const holder = new Actor(later, { root: place })
  await holder.says('held')
  const waiter = new Actor(later, { root: place })
  await waiter.says('waiting')
  waiter.tell('leave')
  await mustBlock(waiter.ends())
  holder.tell('leave')
  assert.equal(await holder.ends(), 0)
  await waiter.says('held')
  assert.equal(await waiter.ends(), 0)
})

claim('ES modules and CommonJS share one package', async ({ root }) => {
  const commonjs = createRequire(import.meta.url)('rootlock') as { tryLock: typeof tryLock }
  const unlock = await commonjs.tryLock(root)
  assert.ok((await rejection(tryLock(root, { wait: false }))) instanceof LockError)
  await unlock()
})

/** A worker thread that ends with the claim. */
function thread(later: Later, place: string, next: Next) {
  const worker = new Worker(new URL('worker.mjs', import.meta.url), { workerData: { place, next } })
  const said: unknown[] = []
  worker.on('message', (message) => said.push(message))
  const exit = new Promise<number>((resolve) => worker.on('exit', resolve))
  later(() => worker.terminate())
  return {
    says: (what: string) => eventually(`the worker says ${what}`, () => said.includes(what)),
    tell: () => worker.postMessage('unlock'),
    terminate: () => inTime('the worker ends', worker.terminate()),
    ends: () => inTime('the worker ends', exit)
  }
}

claim('a worker thread and its process exclude each other', async ({ root, place, later }) => {
  const worker = thread(later, place, 'stay')
  await worker.says('held')
  const lock = tryLock(root)
  await mustBlock(lock)
  worker.tell()
  await worker.says('unlocked')
  const unlock = await inTime('the lock is granted', lock)
  const waiter = thread(later, place, 'stay')
  await waiter.says('waiting')
  await unlock()
  await waiter.says('held')
})

for (const next of ['end', 'exit'] as const) {
  claim(
    `a worker thread that ends by itself frees its lock: ${next}`,
    async ({ root, place, later }) => {
      await thread(later, place, next).ends()
      await (
        await inTime('the lock is granted', tryLock(root))
      )()
    }
  )
}

claim('a terminated worker thread frees its lock', async ({ root, place, later }) => {
  const worker = thread(later, place, 'stay')
  await worker.says('held')
  const lock = tryLock(root)
  await mustBlock(lock)
  await worker.terminate()
  await (
    await inTime('the lock is granted', lock)
  )()
})

claim(
  'a busy worker thread that is terminated frees its lock once it ends',
  async ({ root, place, later }) => {
    const worker = thread(later, place, 'spin')
    await worker.says('busy')
    const lock = tryLock(root)
    await mustBlock(lock)
    await worker.terminate()
    // Deno does not end a busy thread: it reports the end, and the thread goes on, with its lock.
    if (runtime === 'deno') await mustBlock(lock)
    else await (await inTime('the lock is granted', lock))()
  }
)

claim('a thread that blocks gets the lock of another one', async ({ root, place, later }) => {
  const worker = thread(later, place, 'stay')
  await worker.says('held')
  worker.tell()
  tryLockSync(root, { timeoutMs: 30_000 }).sync()
})

claim('a worker thread can be terminated while it blocks', async ({ root, place, later }) => {
  const unlock = await tryLock(root)
  const worker = thread(later, place, 'block')
  await worker.says('waiting')
  await worker.terminate()
  await unlock()
  await (
    await inTime('the lock', tryLock(root))
  )()
})

claim('a worker thread can be terminated while it waits', async ({ root, place, later }) => {
  const unlock = await tryLock(root)
  const worker = thread(later, place, 'stay')
  await worker.says('waiting')
  await worker.terminate()
  await unlock()
  await (
    await inTime('the lock is granted', tryLock(root))
  )()
})

if (other) {
  claim('another runtime is excluded, and excludes', async ({ root, place, later }) => {
    const unlock = await tryLock(root)
    const foreign = new Actor(later, { root: place }, other)
    await foreign.says('waiting')
    await unlock()
    const token = (await foreign.says('held')).token!
    const error = await rejection<LockError>(tryLock(root, { wait: false }))
    assert.equal(error.holder?.pid, foreign.pid)
    foreign.kill()
    const next = await inTime('the lock is granted', tryLock(root))
    assert.ok(next.token > token)
    await next()
  })
}

await checkAll()
