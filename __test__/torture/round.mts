import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'

import { Cast } from './cast.mjs'
import { check, type Verdict } from './checker.mjs'
import type { DesignName } from './design.mjs'
import { Disturber } from './disturb.mjs'
import { Log, now, readLogs, type Event } from './log.mjs'
import type { Round } from './plan.mjs'
import type { SetStage } from './stage.mjs'
import { Store } from './store.mjs'

/** All must end within this time once nothing disturbs them any more: far more than they need. */
const TO_END = 60_000

export interface Outcome extends Verdict {
  round: Round
  events: Event[]
  /** Where its logs are, if they are kept. */
  logs?: string
}

export async function play(
  round: Round,
  design: DesignName,
  setStage: SetStage,
  keep = false
): Promise<Outcome> {
  const folder = mkdtempSync(join(tmpdir(), 'rootlock-torture-'))
  const logs = join(folder, 'logs')
  mkdirSync(logs)
  const log = new Log(logs, 'driver')
  const store = new Store(logs)
  const stage = await setStage(round, folder, logs, log)
  const cast = new Cast(round, design, stage, logs, log, store)
  const disturber = new Disturber(stage, cast)
  cast.start()
  const begun = now()
  for (const { at, what } of round.disturbances) {
    await pause(Math.max(0, at - (now() - begun) / 1_000))
    disturber.disturb(what)
  }
  await pause(Math.max(0, round.ms - (now() - begun) / 1_000))
  await disturber.end()
  const crashes = await cast.finish(TO_END)
  await stage.end()
  store.close()
  log.close()
  const events = readLogs(logs)
  const verdict = check(events, round.terms, round.engine)
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
