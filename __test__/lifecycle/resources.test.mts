import { getEventListeners, setMaxListeners } from 'node:events'
import { readdirSync } from 'node:fs'

import test, { type ExecutionContext } from 'ava'
import { file, inspect, openRoot, tryLock, tryRLock } from 'rootlock'

import { eventually, inTime } from '../helpers/eventually.mjs'
import { nativeThreads } from '../helpers/native-threads.mjs'
import { linux, needing } from '../helpers/needing.mjs'
import { openFiles } from '../helpers/open-files.mjs'
import { temporaryRoot } from '../helpers/temporary-root.mjs'

const serial = needing(test.serial, linux)

const count = () => ({
  descriptors: readdirSync('/proc/self/fd').length,
  threads: readdirSync('/proc/self/task').length
})

/** Does something twice: the first time may create what stays for good. */
async function leavesNothing(t: ExecutionContext, work: () => Promise<void>): Promise<void> {
  await work()
  const before = await settled()
  await work()
  await eventually('as much is open as before', () => {
    const now = count()
    return now.descriptors <= before.descriptors && now.threads <= before.threads
  }).catch(() => t.deepEqual(count(), before))
  t.pass()
}

/** It stays for as long as a lock is held. */
const TIMER = 'rootlock-timer'

/** What is open once our own threads have ended, which linger for a moment when they are idle. */
async function settled(): Promise<ReturnType<typeof count>> {
  await eventually('our threads have gone', () => nativeThreads().every((name) => name === TIMER))
  return count()
}

serial('a thousand locks leave no descriptor, thread or listener behind', async (t) => {
  const root = await temporaryRoot(t)
  const { signal } = new AbortController()
  await leavesNothing(t, async () => {
    for (let index = 0; index < 1_000; index++) {
      await (
        await (index % 2 ? tryLock : tryRLock)(root, { signal })
      )()
    }
  })
  t.is(getEventListeners(signal, 'abort').length, 0)
})

serial('two hundred aborted waits leave no descriptor, thread or listener behind', async (t) => {
  const root = await temporaryRoot(t)
  const shared = new AbortController()
  setMaxListeners(0, shared.signal)
  const unlock = await tryLock(root)
  await leavesNothing(t, async () => {
    const controllers = Array.from({ length: 200 }, () => new AbortController())
    const waits = controllers.map(({ signal }, index) =>
      (index % 2 ? tryLock : tryRLock)(root, { signal: AbortSignal.any([signal, shared.signal]) })
    )
    await new Promise(setImmediate)
    for (const controller of controllers) controller.abort()
    for (const wait of waits) await t.throwsAsync(inTime('the wait ends', wait))
    for (const { signal } of controllers) t.is(getEventListeners(signal, 'abort').length, 0)
  })
  await unlock()
})

serial('waits that were granted leave no descriptor, thread or listener behind', async (t) => {
  const root = await temporaryRoot(t)
  const { signal } = new AbortController()
  setMaxListeners(0, signal)
  await leavesNothing(t, async () => {
    const waits = Array.from({ length: 200 }, async () => {
      const unlock = await tryLock(root, { signal })
      await new Promise(setImmediate)
      await unlock()
    })
    await inTime('all had it', Promise.all(waits))
  })
  t.is(getEventListeners(signal, 'abort').length, 0)
})

serial(
  'failed calls, inspections and opened roots leave no descriptor or thread behind',
  async (t) => {
    const root = await temporaryRoot(t)
    const unlock = await tryLock(root)
    await leavesNothing(t, async () => {
      for (let index = 0; index < 100; index++) {
        await t.throwsAsync(tryLock(`${root}/nowhere`))
        await t.throwsAsync(tryLock(root, { wait: false }))
        await inspect(root)
        const opened = await openRoot(root)
        await inspect(opened)
        await opened.close()
      }
    })
    await unlock()
  }
)

serial('a thousand locks held at once need one thread', async (t) => {
  const root = await temporaryRoot(t)
  await settled()
  const locks = await Promise.all(
    Array.from({ length: 1_000 }, (_, index) => tryLock(root, { fileName: `lock-${index}` }))
  )
  // Those that made the first grants linger for a moment.
  await eventually('one is left', () => nativeThreads().length === 1)
  t.deepEqual(nativeThreads(), [TIMER])
  await Promise.all(locks.map((unlock) => unlock()))
})

const NAMES = 500

serial('locks of many names, one after the other, have few files open', async (t) => {
  const root = await temporaryRoot(t)
  const opened = await openRoot(root)
  const ways = {
    path: (name: string) => tryLock(root, { fileName: name }),
    file: (name: string) => tryLock(file(`${root}/${name}`)),
    root: (name: string) => tryLock(opened, { fileName: name })
  }
  for (const [way, lock] of Object.entries(ways)) {
    for (let each = 0; each < NAMES; each++) {
      await (
        await lock(`${way}-${each}`)
      )()
    }
    const open = openFiles().filter(([, path]) => path.startsWith(root))
    // Those of the names that were used last.
    t.true(open.length < 100, `${way}: ${open.length}`)
  }
  // They are locks all the same, and found again.
  const locks = await Promise.all(
    Array.from({ length: NAMES }, (_, each) => ways.root(`held-${each}`))
  )
  for (let each = 0; each < NAMES; each++) {
    await t.throwsAsync(tryLock(opened, { fileName: `held-${each}`, wait: false }))
  }
  await Promise.all(locks.map((unlock) => unlock()))
  await opened.close()
})
