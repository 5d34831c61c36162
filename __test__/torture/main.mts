// npm run check -- torture --minutes M --seed N: rounds of real processes, disturbed, and checked.

import { parseArgs } from 'node:util'

import { mayBeTheMachines } from './checker.mjs'
import { DESIGNS, type DesignName } from './design.mjs'
import { lacks } from './directory.mjs'
import { lacking, start } from './engines.mjs'
import { climatesOf, ENGINES, plan, type Climate, type Engine } from './plan.mjs'
import { line, story, Sum } from './report.mjs'
import { play } from './round.mjs'

/** The exit code if something only came too late: the machine may have stood still. */
const LATE = 3

const USAGE = `usage: npm run check -- torture [options]
  --minutes M      for how long; 1 unless said otherwise
  --rounds N       how many rounds, instead of minutes
  --seed N         of the schedule; drawn if not given
  --round K        this round of the seed only
  --engine E       what keeps the lock: directory, postgres or etcd
  --members N      of etcd's cluster; 1 unless said otherwise
  --climate C,...  only these: ${climatesOf('directory').join(', ')};
                   on servers: ${climatesOf('postgres').join(', ')}
  --ms N           the length of a round
  --lock L         rootlock; or naive (in a directory) or careless, which must fail
  --keep           keeps all logs, not only those of a violation`

function fail(why: string): never {
  console.error(`${why}\n${USAGE}`)
  process.exit(2)
}

function number(name: string, given: string | undefined): number | undefined {
  if (given === undefined) return undefined
  const value = Number(given)
  if (!Number.isFinite(value) || value < 0) fail(`--${name}: expected a number, got ${given}`)
  return value
}

function options() {
  const string = { type: 'string' } as const
  try {
    return parseArgs({
      options: {
        minutes: string,
        rounds: string,
        seed: string,
        round: string,
        engine: { ...string, default: 'directory' },
        members: string,
        climate: string,
        ms: string,
        lock: { ...string, default: 'rootlock' },
        keep: { type: 'boolean', default: false }
      }
    }).values
  } catch (error) {
    fail((error as Error).message)
  }
}

const given = options()
const design = given.lock as DesignName
if (!DESIGNS.includes(design)) fail(`--lock: there is no ${design}`)
if (process.platform === 'win32') fail('needs Unix: signals that stop a process')
const engine = given.engine as Engine
if (!ENGINES.includes(engine)) fail(`--engine: there is no ${engine}`)
if (design === 'naive' && engine !== 'directory') fail('--lock: naive needs a directory')
const missing = lacking[engine]
if (missing) fail(`--engine: needs ${typeof missing === 'string' ? missing : missing.program}`)

const all = climatesOf(engine)
const possible = all.filter((climate) => lacks(climate) === undefined)
const skipped = all.flatMap((climate) => {
  const lack = lacks(climate)
  return lack === undefined ? [] : [`${climate} [needs ${lack}]`]
})
let climates = possible
if (given.climate !== undefined) {
  const wanted = given.climate.split(',') as Climate[]
  const unknown = wanted.filter((climate) => !all.includes(climate))
  if (unknown.length > 0) fail(`--climate: there is no ${unknown.join(', ')}`)
  climates = wanted.filter((climate) => possible.includes(climate))
  if (climates.length === 0) fail(`not here: ${skipped.join(', ')}`)
}
const seed = number('seed', given.seed) ?? Math.floor(Math.random() * 2 ** 31)
const only = number('round', given.round)
const rounds = only === undefined ? number('rounds', given.rounds) : 1
const minutes = number('minutes', given.minutes) ?? 1
const members = number('members', given.members) ?? 1
const ms = number('ms', given.ms)
/** The further arguments that reproduce the same rounds. */
const same = (['engine', 'members', 'climate', 'ms', 'lock'] as const).map((name) =>
  given[name] === undefined || ['directory', 'rootlock'].includes(given[name])
    ? ''
    : ` --${name} ${given[name]}`
)

console.log(`seed ${seed}`)
for (const climate of skipped) console.log(`skipped: ${climate}`)
const run = await start(engine, members)
const until = performance.now() + minutes * 60_000
/** Whether to play another round; a given number of rounds ignores the time. */
const goesOn = (played: number) =>
  rounds === undefined ? performance.now() < until : played < rounds

const sum = new Sum()
try {
  for (let played = 0; goesOn(played); played++) {
    const round = plan(seed, (only ?? 0) + played, climates, { ms, engine })
    const outcome = await play(round, design, run.setStage, given.keep)
    sum.add(outcome)
    console.log(line(outcome))
    if (outcome.logs !== undefined) console.log(`logs: ${outcome.logs}`)
    if (outcome.violations.length > 0) {
      const again = `npm run check -- torture --seed ${seed} --round ${outcome.round.number}${same.join('')}`
      console.log(story(outcome, again))
      process.exitCode = outcome.violations.every(mayBeTheMachines) ? LATE : 1
      break
    }
  }
} finally {
  await run.end()
}
console.log(String(sum))
