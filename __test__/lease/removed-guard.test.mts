// Clean-ups of old files remove guards, and people remove whole directories.

import { mkdir, readdir, readFile, rm, rmdir, stat, truncate, utimes } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'

import test, { type ExecutionContext } from 'ava'
import { inspect, tryRLock, type LockError } from 'rootlock'

import { child } from '../helpers/child.mjs'
import { eventually } from '../helpers/eventually.mjs'
import { kernelLocks } from '../helpers/kernel-locks.mjs'
import { hold, QUICK, waiter } from '../helpers/locks.mjs'
import { mustBlock } from '../helpers/must-block.mjs'
import { linux, needing, notWine, unix } from '../helpers/needing.mjs'
import { temporaryRoot } from '../helpers/temporary-root.mjs'

const onUnix = needing(test, unix)

const LONG = { heartbeatMs: 2_000, staleMs: 8_000 }
const SHORT = { heartbeatMs: 50, staleMs: 300 }

const cleaners: Record<string, (guard: string) => Promise<void>> = {
  removed: (guard) => rm(guard),
  emptied: (guard) => truncate(guard)
}

for (const [what, clean] of Object.entries(cleaners)) {
  for (const shared of [false, true]) {
    const reader = shared ? 'reader' : 'writer'
    onUnix(`a ${reader} whose guard is ${what} is not preempted by shorter terms`, async (t) => {
      const root = await temporaryRoot(t)
      const guard = join(root, '.lock.guard')
      const holder = child(t, 'holder', { root, shared, options: LONG })
      const { token } = await holder.says('held')
      const { mtimeMs } = await stat(join(root, '.lock'))
      await clean(guard)
      const { lock } = waiter(t, root, SHORT)
      // Longer than the contender's own time, before and after the holder's next beat.
      await eventually('it beats', async () => (await stat(join(root, '.lock'))).mtimeMs > mtimeMs)
      await eventually('its record is there again', async () =>
        (await readFile(guard, 'latin1')).includes(`token=${token} `)
      )
      t.is((await inspect(root)).holder?.token, token)
      await mustBlock(lock)
      const begun = performance.now()
      await eventually('it is long', () => performance.now() - begun > 4 * SHORT.staleMs)
      await mustBlock(lock)
      holder.tell('unlock')
      t.false((await holder.says('unlocked')).lost)
    })
  }

  onUnix(`a frozen holder whose guard is ${what} keeps its own time`, async (t) => {
    const root = await temporaryRoot(t)
    const holder = child(t, 'holder', { root, options: { heartbeatMs: 500, staleMs: 2_500 } })
    await holder.says('held')
    await holder.freeze(root)
    await clean(join(root, '.lock.guard'))
    const begun = performance.now()
    await hold(t, root, SHORT)
    t.true(performance.now() - begun > 2_000, 'the lease is over before')
  })
}

onUnix('a reader that finds the guard removed keeps the terms of earlier readers', async (t) => {
  const root = await temporaryRoot(t)
  const holder = child(t, 'holder', { root, shared: true, options: LONG })
  await holder.says('held')
  await holder.freeze(root)
  await rm(join(root, '.lock.guard'))
  const second = await hold(t, root, SHORT, tryRLock)
  await second()
  const text = await readFile(join(root, '.lock.guard'), 'latin1')
  t.true(text.includes(`stale=${LONG.staleMs} `), text)
})

test('a lone holder recreates a removed guard, with its record', async (t) => {
  const root = await temporaryRoot(t)
  const unlock = await hold(t, root, QUICK)
  const guard = join(root, '.lock.guard')
  await rm(guard)
  await eventually('it is there again', async () =>
    (await readFile(guard, 'latin1').catch(() => '')).includes(`token=${unlock.token} `)
  )
  t.false(unlock.signal.aborted)
  t.is((await inspect(root)).holder?.token, unlock.token)
})

test('the guard of a lock that is held for long does not look abandoned', async (t) => {
  const root = await temporaryRoot(t)
  await hold(t, root, { heartbeatMs: 50, staleMs: 30_000 })
  const guard = join(root, '.lock.guard')
  const long = new Date(Date.now() - 24 * 3_600_000)
  await utimes(guard, long, long)
  await eventually('it looks fresh', async () => Date.now() - (await stat(guard)).mtimeMs < 60_000)
  t.pass()
})

for (const first of ['.lock', '.lock.guard']) {
  needing(test, linux)(`a held root is removed slowly, ${first} first`, async (t) => {
    const root = join(await temporaryRoot(t), 'root')
    await mkdir(root)
    const unlock = await hold(t, root, { heartbeatMs: 50, staleMs: 30_000 })
    const second = first === '.lock' ? '.lock.guard' : '.lock'
    for (const name of [first, second]) {
      await rm(join(root, name))
      // Many beats: this is how long a removal takes, not a condition to wait for.
      await pause(500)
    }
    t.deepEqual(await readdir(root), [])
    await rmdir(root)
    await eventually('the holder is told', () => unlock.signal.aborted)
    t.is((unlock.signal.reason as LockError).reason, 'hijacked')
  })
}

async function removedWhole(t: ExecutionContext): Promise<void> {
  const root = await temporaryRoot(t)
  const unlock = await hold(t, root, { heartbeatMs: 50, staleMs: 30_000 })
  await rm(root, { recursive: true })
  await eventually('the holder is told', () => unlock.signal.aborted)
}

needing(test, notWine)('a held root is removed at the first try, whenever it beats', async (t) => {
  for (let round = 0; round < 20; round++) await removedWhole(t)
  t.pass()
})

for (const first of ['.lock', '.lock.guard']) {
  needing(test, notWine)(
    `a root that is waited for is removed slowly, ${first} first`,
    async (t) => {
      const root = join(await temporaryRoot(t), 'root')
      await mkdir(root)
      const terms = { heartbeatMs: 50, staleMs: 5_000 }
      const holder = child(t, 'holder', { root, options: terms })
      await holder.says('held')
      const waiting = [1, 2].map(() => child(t, 'holder', { root, options: terms }))
      for (const each of waiting) await each.says('waiting')
      // A process that has not opened it yet creates it, as any newcomer does.
      await eventually(
        'both wait for the file',
        () => kernelLocks(root).filter(({ waits }) => waits).length === 2
      )
      const second = first === '.lock' ? '.lock.guard' : '.lock'
      for (const name of [first, second]) {
        await rm(join(root, name))
        // Many beats and looks: this is how long a removal takes, not a condition to wait for.
        await pause(1_000)
      }
      t.deepEqual(await readdir(root), [])
      await rmdir(root)
      await holder.says('lost')
      holder.kill()
      for (const each of waiting) t.is((await each.says('failed')).cause.code, 'ENOENT')
    }
  )
}
