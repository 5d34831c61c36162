import { statSync } from 'node:fs'
import { setTimeout as pause } from 'node:timers/promises'

import { openFiles } from '../helpers/open-files.mjs'
import type { Design, Held } from './design.mjs'
import { Log, now, type Mode } from './log.mjs'
import { naive } from './naive.mjs'
import type { Terms } from './plan.mjs'
import { Random } from './random.mjs'
import { rootlock } from './rootlock.mjs'
import type { StoreAccess } from './store.mjs'

export interface Birth {
  who: string
  seed: number
  root: string
  logs: string
  design: 'rootlock' | 'naive'
  handle: boolean
  /** Holds for no time and asks again at once, many times: its grants are runs. */
  quick: boolean
  threads: number
  terms: Terms
  clock?: string
}

const designs: Record<Birth['design'], Design> = { rootlock, naive }

/** How long a holder that sees that it was preempted waits to be notified: beats are much more frequent. */
const TO_BE_TOLD = 8_000

/** The life of an actor: asks, holds, reads and writes, releases. */
export async function live(birth: Birth, store: StoreAccess, finished: AbortSignal): Promise<void> {
  const log = new Log(birth.logs, birth.who)
  log.say({ what: 'start', pid: process.pid, ...(birth.clock && { clock: birth.clock }) })
  const random = Random.of(birth.seed, birth.who)
  const take = await untilThere(() => designs[birth.design].open(birth.root, birth.handle))
  let burst = 0
  for (let id = 1; !finished.aborted; id++) {
    if (birth.quick && burst === 0 && random.chance(0.5)) burst = random.between(2, 40)
    const quick = burst > 0
    if (quick) burst--
    const shared = random.chance(quick ? 0.05 : 0.4)
    const wait = random.chance(0.9)
    const abortAfter = random.chance(0.25) ? random.between(0, 60) : undefined
    const hold = quick ? 0 : length(random, birth.terms)
    const blocks = random.chance(0.1)
    const mode: Mode = shared ? 'shared' : 'exclusive'
    const aborter = new AbortController()
    const timer =
      abortAfter === undefined ? undefined : setTimeout(() => aborter.abort(), abortAfter)
    log.say({ what: 'ask', id, mode, wait, ...(abortAfter !== undefined && { abortAfter }) })
    const say = (message: string, details: Record<string, unknown>) => {
      const from = details['from'] as string | undefined
      log.say({ what: 'log', id, message, ...(from && { from }) })
    }
    try {
      const ask = { shared, wait, signal: aborter.signal, say, ...birth.terms }
      const held = await take(ask)
      const file = lockFile()
      log.say({ what: 'granted', id, token: held.token, ...(file && { file }) })
      listen(log, id, held, file)
      await use(log, id, held, mode, store, hold, blocks, birth, file)
    } catch (error) {
      const { code, cause, message } = error as { code: string; cause?: Error; message: string }
      const expected =
        code === 'ERR_LOCK_UNSUCCESSFUL' &&
        (cause === undefined ? !wait : cause.name === 'AbortError' && aborter.signal.aborted)
      if (expected) log.say({ what: 'refused', id, code, because: cause?.name ?? 'held' })
      else log.say({ what: 'failed', id, message: `${code}: ${message} (${cause?.message})` })
    } finally {
      clearTimeout(timer)
    }
    if (!quick && random.chance(0.7)) await pause(random.between(0, 40))
  }
  log.say({ what: 'end' })
  log.close()
}

/** How long to hold: mostly for a moment, sometimes for longer than a lease. */
function length(random: Random, { staleMs }: Terms): number {
  const kind = random.next()
  if (kind < 0.5) return 0
  if (kind < 0.9) return random.between(1, 30)
  if (kind < 0.97) return random.between(40, staleMs)
  return random.between(staleMs, staleMs * 2.5)
}

async function use(
  log: Log,
  id: number,
  held: Held,
  mode: Mode,
  store: StoreAccess,
  ms: number,
  blocks: boolean,
  birth: Birth,
  file: number | undefined
): Promise<void> {
  const { token } = held
  const value = await (mode === 'exclusive' ? store.read(token) : store.look(token))
  if (value !== undefined) log.say({ what: 'value', id, value })
  if (blocks) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms)
  else if (ms > 0) await pauseOrLoss(ms, held.signal)
  // Even if it was lost meanwhile: refusing that is up to the store.
  if (mode === 'exclusive' && value !== undefined) await store.write(token, value)
  if (mode === 'shared') {
    const again = await store.look(token)
    if (again !== undefined) log.say({ what: 'value', id, value: again })
  }
  // A preempted holder must be notified; one that releases before it could be proves nothing.
  if (wasReplaced(birth, file)) await pauseOrLoss(TO_BE_TOLD, held.signal)
  log.say({ what: 'release', id })
  await held()
  log.say({ what: 'released', id })
}

function pauseOrLoss(ms: number, signal: AbortSignal): Promise<void> {
  return pause(ms, undefined, { signal }).catch(() => {})
}

function listen(log: Log, id: number, { signal }: Held, file: number | undefined): void {
  const lost = () => {
    const stamped = file === undefined ? undefined : stampOf(file)
    const reason = (signal.reason as { reason?: string } | undefined)?.reason ?? 'unknown'
    log.say({ what: 'lost', id, reason, ...(stamped !== undefined && { stamped }) })
  }
  if (signal.aborted) lost()
  else signal.addEventListener('abort', lost, { once: true })
}

/** The descriptors of the lock files that this process has open. */
function lockFiles(): number[] {
  if (process.platform !== 'linux') return []
  const files = openFiles().filter(([, path]) => /\/\.lock( \(deleted\))?$/.test(path))
  return files.map(([descriptor]) => descriptor)
}

/** The descriptor of the only lock file that this process has open at the moment. */
function lockFile(): number | undefined {
  const numbers = new Set(lockFiles().map(inode))
  return numbers.size === 1 ? [...numbers][0] : undefined
}

function inode(descriptor: number): number | undefined {
  try {
    return statSync(`/proc/self/fd/${descriptor}`).ino
  } catch {
    return undefined
  }
}

/** When that file was last stamped, on the monotonic clock, if this process still has it open. */
function stampOf(file: number): number | undefined {
  for (const descriptor of lockFiles()) {
    try {
      const { ino, mtimeMs } = statSync(`/proc/self/fd/${descriptor}`)
      if (ino === file) return Math.round(now() - (Date.now() - mtimeMs) * 1_000)
    } catch {
      // Closed meanwhile.
    }
  }
  return undefined
}

function wasReplaced({ root }: Birth, file: number | undefined): boolean {
  try {
    return file !== undefined && statSync(`${root}/.lock`).ino !== file
  } catch {
    return false
  }
}

/** The directory may be somewhere else at the moment. */
async function untilThere<T>(open: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await open()
    } catch (error) {
      if ((error as { cause?: { code?: string } }).cause?.code !== 'ENOENT') throw error
      await pause(10)
    }
  }
}
