/** The benchmark: chooses, runs, reports, and leaves nothing behind. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

import type { Adapter } from './adapter.js'
import { adapters as allAdapters } from './adapters/index.js'
import { killAll, withCrew } from './crew.js'
import { machine } from './machine.js'
import { measures as allMeasures } from './measures/index.js'
import { options, usage, type Options } from './options.js'
import { markdown } from './report/markdown.js'
import { pictures } from './report/pictures.js'
import type { Contender, Results } from './results.js'
import { run } from './runner.js'
import { removeScratch } from './scratch.js'

const bench = new URL('..', import.meta.url)
const file = (name: string) => fileURLToPath(new URL(name, bench))

function progress(text: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${text}`)
  else if (text) process.stderr.write(`${text}\n`)
}

/** Loads each contender once in a process of its own; reports and leaves out those that can't be loaded. */
async function introduce(adapter: Adapter): Promise<Contender> {
  const { name, how } = adapter
  try {
    await withCrew(adapter, 1, async () => {})
    return { name, how, version: adapter.version() }
  } catch (error) {
    const absent = (error as Error).message.split('\n')[0] as string
    return { name, how, version: '–', absent }
  }
}

async function measureAll({ quick, rounds, measures, adapters }: Options): Promise<Results> {
  const started = new Date()
  const found: Results = {
    quick,
    startedAt: started.toISOString(),
    seconds: 0,
    machine: machine(),
    contenders: [],
    results: []
  }
  for (const adapter of adapters) found.contenders.push(await introduce(adapter))
  const absent = found.contenders.filter((contender) => contender.absent)
  for (const { name, absent: why } of absent)
    process.stderr.write(`going on without ${name}: ${why}\n`)
  const present = adapters.filter(
    ({ name }) => !absent.some((contender) => contender.name === name)
  )

  for (const measure of measures) {
    found.results.push(await run(measure, present, { quick, ...(rounds && { rounds }), progress }))
  }
  progress('')
  found.seconds = Math.round((Date.now() - started.getTime()) / 1_000)
  return found
}

function publish(found: Results): void {
  mkdirSync(file('pictures'), { recursive: true })
  for (const [name, svg] of pictures(found)) writeFileSync(file(`pictures/${name}`), svg)
  writeFileSync(file('results.md'), markdown(found, { pictures: true }))
}

async function main(): Promise<void> {
  const chosen = options(process.argv.slice(2))
  if (chosen.help) return console.log(usage)
  if (chosen.list) {
    console.log(`measures:   ${allMeasures.map(({ name }) => name).join(', ')}`)
    return console.log(`contenders: ${allAdapters.map(({ name }) => name).join(', ')}`)
  }
  const last = file('dist/results.json')
  if (chosen.report) return publish(JSON.parse(readFileSync(last, 'utf8')) as Results)

  const found = await measureAll(chosen)
  console.log(markdown(found, { pictures: false }))
  if (!chosen.complete) return
  writeFileSync(last, JSON.stringify(found, undefined, 1))
  publish(found)
}

process.once('exit', () => {
  killAll()
  removeScratch()
})
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
  process.once(signal, () => process.exit(130))

try {
  await main()
} catch (error) {
  console.error((error as Error).message)
  process.exitCode = 1
}
