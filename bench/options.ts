import { parseArgs } from 'node:util'

import type { Adapter } from './adapter.js'
import { adapters } from './adapters/index.js'
import type { Measure } from './measure.js'
import { measures } from './measures/index.js'

export const usage = `npm run bench -- [options]

  --quick                a minute: the daily contenders, short windows; writes nothing
  --measure <name,…>     only these measures (the start of the name is enough)
  --adapter <name,…>     only these contenders (a part of the name is enough)
  --rounds <n>           instead of what each measure asks for
  --report               no run: writes the report of the last one again
  --list                 the names of measures and contenders

A run of everything writes results.md and pictures/. BENCH_ROOTLOCK=<index.js> measures another build of rootlock.`

export interface Options {
  quick: boolean
  report: boolean
  list: boolean
  help: boolean
  /** Everything, so that the result can be published. */
  complete: boolean
  rounds?: number
  measures: readonly Measure[]
  adapters: readonly Adapter[]
}

function chosen<T extends { name: string }>(
  all: readonly T[],
  parts: string | undefined,
  matches: (name: string, part: string) => boolean
): readonly T[] {
  if (parts === undefined) return all
  const list = parts.split(',')
  const unknown = list.find((part) => !all.some(({ name }) => matches(name, part)))
  if (unknown !== undefined)
    throw new Error(
      `nothing is called ${unknown}; there are: ${all.map(({ name }) => name).join(', ')}`
    )
  return all.filter(({ name }) => list.some((part) => matches(name, part)))
}

export function options(args: string[]): Options {
  const { values } = parseArgs({
    args,
    options: {
      quick: { type: 'boolean', default: false },
      report: { type: 'boolean', default: false },
      list: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
      measure: { type: 'string' },
      adapter: { type: 'string' },
      rounds: { type: 'string' }
    }
  })
  const { quick, measure, adapter: contender } = values
  const rounds = values.rounds === undefined ? undefined : Number(values.rounds)
  if (rounds !== undefined && !(Number.isInteger(rounds) && rounds > 0))
    throw new Error('--rounds needs a whole number above 0')

  const daily =
    quick && contender === undefined ? adapters.filter((adapter) => adapter.daily) : adapters
  const short =
    quick && measure === undefined
      ? measures.filter(({ quickRounds }) => quickRounds > 0)
      : measures
  return {
    quick,
    report: values.report,
    list: values.list,
    help: values.help,
    complete: !quick && measure === undefined && contender === undefined && rounds === undefined,
    ...(rounds !== undefined && { rounds }),
    measures: chosen(short, measure, (name, part) => name.startsWith(part)),
    adapters: chosen(daily, contender, (name, part) => name.includes(part))
  }
}
