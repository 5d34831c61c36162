// `npm run check -- faults`: makes every system call of every phase fail in every way, and kills the
// process at every one. A trace of an undisturbed run shows which calls there are.
//
// With arguments: only phases whose names contain one of them.

import { spawnSync } from 'node:child_process'

import { PHASES, type Phase } from '../__test__/faults/phases.mjs'
import { crash, discover, ERRORS, fault, type Outcome } from '../__test__/faults/run.mjs'
import type { Injection } from '../__test__/faults/strace.mjs'

/** Cases spend most of their time waiting for idle threads to end. */
const AT_ONCE = 6

const wanted = process.argv.slice(2)

if (spawnSync('strace', ['--version'], { stdio: 'ignore' }).status !== 0) {
  console.error('needs Linux and strace (on Debian: apt-get install strace)')
  process.exit(1)
}

interface Case {
  title: string
  run: () => Promise<Outcome>
}

const cases: Case[] = []

function add(phase: Phase, injection: Injection): void {
  const { name, when, what } = injection
  cases.push({
    title: `${phase.name}: ${name} #${when} ${what}`,
    run: () =>
      what === 'signal=KILL' ? crash(phase, { name, when: Number(when) }) : fault(phase, injection)
  })
}

for (const phase of PHASES) {
  if (wanted.length > 0 && !wanted.some((word) => phase.name.includes(word))) continue
  const places = await discover(phase)
  console.log(`${phase.name}: ${places.length} places`)
  if (phase.always) {
    for (const name of new Set(places.map((place) => place.name))) {
      for (const what of [...ERRORS.map((error) => `error=${error}`), 'delay_enter=3s']) {
        add(phase, { name, when: '1+', what })
      }
    }
    continue
  }
  // Threads that can't be made: the first, the second, and none at all.
  for (const when of ['1', '2', '1+']) {
    add(phase, { name: 'clone3', when, what: 'error=EAGAIN' })
  }
  for (const { name, when } of places) {
    for (const error of ERRORS) {
      add(phase, { name, when: String(when), what: `error=${error}` })
    }
    add(phase, { name, when: String(when), what: 'delay_enter=3s' })
    add(phase, { name, when: String(when), what: 'signal=KILL' })
  }
}

const outcomes: Outcome[] = []
const broken: string[] = []

async function work(): Promise<void> {
  for (let next = cases.shift(); next; next = cases.shift()) {
    const { title, run } = next
    try {
      const outcome = await run()
      outcomes.push(outcome)
      for (const what of outcome.wrong) fail(`${title} (${outcome.met.join(', ')}): ${what}`)
    } catch (error) {
      fail(`${title}: ${error instanceof Error ? error.message : String(error)}`)
    }
  }
}

function fail(what: string): void {
  broken.push(what)
  console.log(what)
}
await Promise.all(Array.from({ length: AT_ONCE }, work))

/** One line for each place, with the result of each fault. */
const lines = new Map<string, Map<string, string[]>>()
for (const { phase, injection, met, said } of outcomes) {
  for (const label of met) {
    const place = `${phase}: ${label}${injection.when === '1+' ? ', always' : ''}`
    const ways = lines.get(place) ?? new Map<string, string[]>()
    const way = injection.what.replace('error=', '').replace(/=.*/, '')
    ways.set(said, [...new Set([...(ways.get(said) ?? []), way])])
    lines.set(place, ways)
  }
}
for (const [place, ways] of lines) {
  console.log(place)
  for (const [said, how] of ways) console.log(`    ${said}: ${how.join(' ')}`)
}
for (const line of broken) console.log(line)
const missed = outcomes.filter(({ met }) => met.length === 0).length
console.log(`${outcomes.length - missed} faults injected, ${missed} not reached`)
console.log(`${outcomes.length - broken.length} passed, ${broken.length} failed`)
process.exitCode = broken.length > 0 ? 1 : 0
