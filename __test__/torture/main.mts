// npm run check -- torture --minutes M --seed N: rounds of real processes, disturbed, and checked.

import { parseArgs } from 'node:util'

import { mayBeTheMachines } from './checker.mjs'
import { possible } from './disturb.mjs'
import { CLIMATES, plan, type Climate } from './plan.mjs'
import { line, story, Sum } from './report.mjs'
import { play } from './round.mjs'

/** The exit code if something only came too late: the machine may have stood still. */
const LATE = 3

const USAGE = `usage: npm run check -- torture [options]
  --minutes M      for how long; 1 unless said otherwise
  --rounds N       how many rounds, instead of minutes
  --seed N         of the schedule; drawn if not given
  --round K        this round of the seed only
  --climate C,...  only these: ${Object.keys(CLIMATES).join(', ')}
  --ms N           the length of a round
  --lock L         rootlock, or naive, which must fail
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
const design = given.lock
if (design !== 'rootlock' && design !== 'naive') fail(`--lock: there is no ${design}`)
if (process.platform === 'win32') fail('needs Unix: signals that stop a process')

const { climates: possibleHere, lacking } = possible()
let climates = possibleHere
if (given.climate !== undefined) {
  const wanted = given.climate.split(',') as Climate[]
  const unknown = wanted.filter((climate) => !(climate in CLIMATES))
  if (unknown.length > 0) fail(`--climate: there is no ${unknown.join(', ')}`)
  climates = wanted.filter((climate) => possibleHere.includes(climate))
  if (climates.length === 0) fail(`not here: ${lacking.join(', ')}`)
}
const seed = number('seed', given.seed) ?? Math.floor(Math.random() * 2 ** 31)
const only = number('round', given.round)
const rounds = only === undefined ? number('rounds', given.rounds) : 1
const until = performance.now() + (number('minutes', given.minutes) ?? 1) * 60_000
/** Whether to play another round; a given number of rounds ignores the time. */
const goesOn = (played: number) =>
  rounds === undefined ? performance.now() < until : played < rounds

console.log(`seed ${seed}`)
for (const climate of lacking) console.log(`skipped: ${climate}`)
/** The further arguments that reproduce the same rounds. */
const same = (['climate', 'ms', 'lock'] as const).map((name) =>
  given[name] === undefined || given[name] === 'rootlock' ? '' : ` --${name} ${given[name]}`
)
const sum = new Sum()
for (let played = 0; goesOn(played); played++) {
  const outcome = await play(
    plan(seed, (only ?? 0) + played, climates, number('ms', given.ms)),
    design,
    given.keep
  )
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
console.log(String(sum))
