import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'

import { Cast } from './cast.mjs'
import { check, type Verdict } from './checker.mjs'
import { noClocks, WallClock } from './clock.mjs'
import { Disturber } from './disturb.mjs'
import type { Birth } from './life.mjs'
import { Log, now, readLogs, type Event } from './log.mjs'
import { CLIMATES, type Disturbance, type Round } from './plan.mjs'
import { Store } from './store.mjs'

/** All must end within this time once nothing disturbs them any more: far more than they need. */
const TO_END = 60_000

export interface Outcome extends Verdict {
  round: Round
  events: Event[]
  /** Where its logs are, if they are kept. */
  logs?: string
}

export async function play(round: Round, design: Birth['design'], keep = false): Promise<Outcome> {
  const folder = mkdtempSync(join(tmpdir(), 'rootlock-torture-'))
  const [root, logs] = [join(folder, 'root'), join(folder, 'logs')]
  mkdirSync(root)
  mkdirSync(logs)
  const log = new Log(logs, 'driver')
  const store = new Store(logs)
  const kinds: readonly Disturbance['kind'][] = CLIMATES[round.climate]
  const clock =
    kinds.includes('step clock') && noClocks === undefined
      ? new WallClock(join(folder, 'clock'))
      : undefined
  const cast = new Cast(round, design, root, logs, log, store, clock)
  const disturber = new Disturber(root, logs, cast, log, clock)
  cast.start()
  const begun = now()
  for (const { at, what } of round.disturbances) {
    await pause(Math.max(0, at - (now() - begun) / 1_000))
    disturber.disturb(what)
  }
  await pause(Math.max(0, round.ms - (now() - begun) / 1_000))
  await disturber.end()
  const crashes = await cast.finish(TO_END)
  store.close()
  log.close()
  const events = readLogs(logs)
  const verdict = check(events, round.terms)
  for (const crash of crashes) {
    const [from, until] = [events[0]!.at, events.at(-1)!.at]
    const who = crash.split(':')[0]!
    const violation = { claim: 'nobody crashes', what: crash, parties: [who], from, until }
    verdict.violations.push(violation)
  }
  if (keep || verdict.violations.length > 0) return { ...verdict, round, events, logs }
  rmSync(folder, { recursive: true, force: true })
  return { ...verdict, round, events }
}
