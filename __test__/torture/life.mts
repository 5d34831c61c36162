import { setTimeout as pause } from 'node:timers/promises'

import { careless } from './careless.mjs'
import { Cues } from './cues.mjs'
import type { Design, DesignName, Held } from './design.mjs'
import { directoryView } from './directory-view.mjs'
import { Log, now, type Mode } from './log.mjs'
import { naive } from './naive.mjs'
import type { Engine, Terms } from './plan.mjs'
import { Random } from './random.mjs'
import { rootlock } from './rootlock.mjs'
import { serverView } from './server-view.mjs'
import type { StoreAccess } from './store.mjs'
import type { LockFile, View } from './view.mjs'

export interface Birth {
  who: string
  seed: number
  engine: Engine
  root: string
  logs: string
  design: DesignName
  handle: boolean
  /** Holds for no time and asks again at once, many times: its grants are runs. */
  quick: boolean
  threads: number
  terms: Terms
  clock?: string
}

const designs: Record<DesignName, Design> = { rootlock, naive, careless }

const views: Record<Engine, View> = {
  directory: directoryView,
  postgres: serverView,
  etcd: serverView
}

/** The life of an actor: asks, holds, reads and writes, releases. */
export async function live(birth: Birth, store: StoreAccess, cues: Cues): Promise<void> {
  const log = new Log(birth.logs, birth.who)
  log.say({ what: 'start', pid: process.pid, ...(birth.clock && { clock: birth.clock }) })
  const random = Random.of(birth.seed, birth.who)
  const view = views[birth.engine]
  const take = await untilThere(view, log, () =>
    designs[birth.design].open(birth.root, birth.handle)
  )
  let burst = 0
  for (let id = 1; !cues.finished.aborted; id++) {
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
    const stay = async (signal: AbortSignal) => {
      const ms = cues.takeLinger() ? Math.max(hold, 2 * birth.terms.staleMs) : hold
      if (blocks) view.block(ms, signal)
      else if (ms > 0) await pauseOrLoss(ms, signal)
    }
    try {
      const ask = { shared, wait, signal: aborter.signal, say, ...birth.terms }
      const held = await take(ask)
      const file = view.lockFile(birth.root)
      log.say({ what: 'granted', id, token: held.token, ...(file && { file: file.number }) })
      listen(log, id, held, file)
      await use(log, id, held, mode, store, stay, view, file)
    } catch (error) {
      const { code, cause, message } = error as { code: string; cause?: Error; message: string }
      const expected =
        code === 'ERR_LOCK_UNSUCCESSFUL' &&
        (cause === undefined ? !wait : cause.name === 'AbortError' && aborter.signal.aborted)
      // Whether something disturbed it then is for the checker to say.
      const away = view.refusesWhileAway && view.isAway(error)
      if (expected) log.say({ what: 'refused', id, code, because: cause?.name ?? 'held' })
      else if (away) {
        log.say({ what: 'refused', id, code, because: 'away', message })
        await pause(20)
      } else log.say({ what: 'failed', id, message: `${code}: ${message} (${cause?.message})` })
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
  stay: (signal: AbortSignal) => Promise<void>,
  view: View,
  file: LockFile | undefined
): Promise<void> {
  const { token } = held
  const value = await (mode === 'exclusive' ? store.read(token) : store.look(token))
  let isTurnedAway = value === undefined
  if (value !== undefined) log.say({ what: 'value', id, value })
  await stay(held.signal)
  // Even if it was lost meanwhile: refusing that is up to the store.
  if (mode === 'exclusive' && value !== undefined) {
    isTurnedAway = (await store.write(token, value)) === undefined
  }
  if (mode === 'shared') {
    const again = await store.look(token)
    isTurnedAway ||= again === undefined
    if (again !== undefined) log.say({ what: 'value', id, value: again })
  }
  // A preempted holder must be notified; one that releases before it could be proves nothing.
  const wasPreempted = file?.wasReplaced() || (view.onlyTheStoreTells && isTurnedAway)
  if (wasPreempted) await pauseOrLoss(view.toBeTold, held.signal)
  log.say({ what: 'release', id })
  await held()
  log.say({ what: 'released', id })
}

function pauseOrLoss(ms: number, signal: AbortSignal): Promise<void> {
  return pause(ms, undefined, { signal }).catch(() => {})
}

function listen(log: Log, id: number, { signal }: Held, file: LockFile | undefined): void {
  const lost = () => {
    const stamped = file?.stamped()
    const reason = (signal.reason as { reason?: string } | undefined)?.reason ?? 'unknown'
    log.say({ what: 'lost', id, reason, ...(stamped !== undefined && { stamped }) })
  }
  if (signal.aborted) lost()
  else signal.addEventListener('abort', lost, { once: true })
}

/** A disturbance may keep it from being opened at the moment. */
async function untilThere<T>(view: View, log: Log, open: () => Promise<T>): Promise<T> {
  for (;;) {
    const since = now()
    try {
      return await open()
    } catch (error) {
      if (!view.isAway(error)) throw error
      log.say({ what: 'away', since, message: (error as Error).message })
      await pause(10)
    }
  }
}
