import { statSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'

import { tryLock, type LockOptions, type UnlockFunc } from 'rootlock'

import { child } from '../helpers/child.mjs'
import { eventually } from '../helpers/eventually.mjs'
import { kernelLocks } from '../helpers/kernel-locks.mjs'
import type { Result, Scene } from './scene.mjs'

/** A phase of a lock's life, and its preparation. */
export interface Phase {
  name: string
  options?: LockOptions
  /** The preparation, undisturbed. */
  prepare?(scene: Scene): Promise<void>
  /** The part that is disturbed; returns the results of the subject's steps, in order. */
  act(scene: Scene): Promise<Step[]>
  /** For calls that fail every time, not once. */
  always?: boolean
  /** Takes over `scene.holder`'s lock. */
  takesOver?: boolean
}

export type Step = { what: 'acquire' | 'release' | 'look' | 'beat' } & Result

/** The shortest terms. */
const HASTY = { heartbeatMs: 50, staleMs: 150 }

const acquire = async (scene: Scene, more?: LockOptions): Promise<Step> => ({
  what: 'acquire',
  ...(await scene.ask('acquire', 'acquired', more))
})

const release = async (scene: Scene): Promise<Step> => ({
  what: 'release',
  ...(await scene.ask('release', 'released'))
})

/** Creates everything that is created only once. */
async function warm(scene: Scene): Promise<void> {
  const { token } = await scene.must('acquire', 'acquired')
  scene.token = token!
  await scene.must('release', 'released')
}

async function held(scene: Scene): Promise<void> {
  const { token } = await scene.must('acquire', 'acquired')
  scene.token = token!
}

/** A holder that is stopped for long enough. */
async function frozenHolder(scene: Scene): Promise<void> {
  const holder = child(scene.t, 'holder', { root: scene.root, options: HASTY })
  scene.token = (await holder.says('held')).token
  await holder.freeze(scene.root)
  scene.holder = holder
}

/**
 * Waits until the subject's next look may take over. Its watch belongs to the process, and adds
 * up over looks that may not; docs/protocol.md says how much each adds.
 */
async function watchLongEnough(scene: Scene): Promise<void> {
  const lockFile = join(scene.root, '.lock')
  const needed = (HASTY.heartbeatMs * 6) / 5
  let [watched, looked] = [0, performance.now()]
  await eventually('the subject has watched for long enough', async () => {
    // Between two looks passes at least the time from an answer to the next request.
    watched += Math.min(performance.now() - looked, needed / 6)
    await scene.ask('acquire', 'acquired', { wait: false, recover: false })
    looked = performance.now()
    return watched >= needed && Date.now() - statSync(lockFile).mtimeMs >= HASTY.staleMs
  })
}

export const PHASES: Phase[] = [
  {
    name: 'first acquire',
    act: async (scene) => [await acquire(scene)]
  },
  {
    name: 'acquire',
    prepare: warm,
    act: async (scene) => [await acquire(scene)]
  },
  {
    name: 'acquire in an open root',
    async prepare(scene) {
      await scene.must('open', 'opened')
      await warm(scene)
    },
    act: async (scene) => [await acquire(scene)]
  },
  {
    name: 'wait',
    async prepare(scene) {
      await warm(scene)
      const unlock = await tryLock(scene.root)
      scene.token = unlock.token
      others.set(scene, unlock)
    },
    async act(scene) {
      const acquired = acquire(scene)
      // Once it is in the kernel's queue, if it gets that far alive.
      const waits = () => kernelLocks(scene.root).some((lock) => lock.waits)
      const waiting = scene.subject.says('waiting').then(() => eventuallyOr(acquired, waits))
      await Promise.race([acquired, waiting]).catch(() => {})
      await others.get(scene)!()
      return [await acquired]
    }
  },
  {
    name: 'takeover',
    takesOver: true,
    options: HASTY,
    async prepare(scene) {
      await frozenHolder(scene)
      await watchLongEnough(scene)
    },
    act: async (scene) => [await acquire(scene, { wait: false })]
  },
  {
    name: 'takeover by a waiter',
    takesOver: true,
    options: HASTY,
    prepare: frozenHolder,
    act: async (scene) => [await acquire(scene)]
  },
  {
    name: 'beat',
    options: { heartbeatMs: 200, staleMs: 60_000 },
    prepare: held,
    async act() {
      // At least one whole beat, and one more for what the first leaves to do.
      await pause(450)
      return [{ what: 'beat' }]
    }
  },
  {
    name: 'beats that always fail',
    always: true,
    options: { heartbeatMs: 200, staleMs: 1_000 },
    prepare: held,
    async act() {
      await pause(2_000)
      return [{ what: 'beat' }]
    }
  },
  {
    name: 'hand-over',
    async prepare(scene) {
      await held(scene)
      scene.subject.tell('acquire')
      await scene.subject.says('waiting')
    },
    async act(scene) {
      const [released, next] = await Promise.all([release(scene), scene.hears('acquired')])
      return [released, { what: 'acquire', ...next }]
    }
  },
  {
    name: 'release',
    prepare: held,
    act: async (scene) => [await release(scene)]
  },
  {
    name: 'look',
    prepare: held,
    act: async (scene) => [{ what: 'look', ...(await scene.ask('look', 'looked')) }]
  }
]

/** The lock of this process that a scene's subject waits for. */
const others = new Map<Scene, UnlockFunc>()

/** Waits until the condition holds, or the request has been settled otherwise. */
async function eventuallyOr(settled: Promise<unknown>, look: () => boolean): Promise<void> {
  let over = false
  const end = () => (over = true)
  settled.then(end, end)
  await eventually('it waits', () => over || look())
}
