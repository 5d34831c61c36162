import { bestFairPeer, bestPeer, fair, type Bar, type Measure, type Metric } from '../measure.js'
import { isFloor } from '../adapters/floor.js'
import { adapters } from '../adapters/index.js'
import { remark, unsafe, values, type Entry, type Result } from '../results.js'
import { median } from '../statistics.js'
import { figure, spread } from './figure.js'

export const subject = 'rootlock'

const of = (entry: Entry | undefined, round: number, metric: string): number => {
  const found = entry?.rounds[round]
  return found && 'sample' in found ? (found.sample[metric] ?? NaN) : NaN
}

const isPeer = (name: string) =>
  adapters.some(
    (adapter) => adapter.name === name && !isFloor(adapter) && !name.startsWith(subject)
  )

/** The number that rootlock is measured against in one round. */
function rival(
  bar: Bar,
  metric: Metric,
  result: Result,
  round: number,
  lossy: ReadonlyMap<string, number>
): number {
  if (bar.of !== bestPeer && bar.of !== bestFairPeer)
    return of(
      result.entries.find(({ adapter }) => adapter === bar.of),
      round,
      bar.metric
    )
  const peers = result.entries
    .filter(({ adapter }) => isPeer(adapter) && !lossy.has(adapter))
    .filter((entry) => bar.of === bestPeer || of(entry, round, 'jain') >= fair)
    .map((entry) => of(entry, round, bar.metric))
    .filter((value) => !Number.isNaN(value))
  if (peers.length === 0) return NaN
  return metric.better === 'more' ? Math.max(...peers) : Math.min(...peers)
}

/** rootlock ÷ rival, for every round that has both. */
export function ratios(
  bar: Bar,
  metric: Metric,
  result: Result,
  results: readonly Result[]
): number[] {
  const own = result.entries.find(({ adapter }) => adapter === (bar.by ?? subject))
  const lossy = unsafe(results)
  return (own?.rounds ?? [])
    .map((_, round) => of(own, round, bar.metric) / rival(bar, metric, result, round, lossy))
    .filter((ratio) => Number.isFinite(ratio))
}

function verdict(bar: Bar, measured: number): string {
  if (Number.isNaN(measured)) return 'not measured'
  return (bar.is === '≥' ? measured >= bar.value : measured <= bar.value) ? 'met' : '**missed**'
}

/** The rows of the table of bars: measure, bar, rootlock's value, its relation to the bar, verdict. */
export function barRows(measure: Measure, result: Result, results: readonly Result[]): string[][] {
  return measure.bars.map((bar) => {
    const own = result.entries.find(({ adapter }) => adapter === (bar.by ?? subject))
    const metric = measure.metrics.find(({ key }) => key === bar.metric) as Metric
    const unit = metric.unit && ` ${metric.unit}`
    const mine = values(own, bar.metric)
    const by = bar.by?.replace(`${subject} `, ', ').replace(/[()]/g, '') ?? ''
    const name = `${measure.title}${by}: ${metric.title}`
    // Took part and has no number: too slow or broken, which is worse than any number.
    const trouble = own && mine.length === 0 ? remark(own) : ''
    if (trouble)
      return [
        name,
        `${bar.is} ${figure(bar.value)}${bar.of ? ` × ${bar.of}` : unit}`,
        trouble,
        '',
        '**missed**'
      ]
    const absolute = spread(mine, median(mine)) + (mine.length ? unit : '')
    if (bar.of === undefined) {
      return [
        name,
        `${bar.is} ${figure(bar.value)}${unit}`,
        absolute,
        '',
        verdict(bar, median(mine))
      ]
    }
    const all = ratios(bar, metric, result, results)
    const ratio = median(all)
    return [
      name,
      `${bar.is} ${figure(bar.value)} × ${bar.of}`,
      absolute,
      all.length ? `× ${spread(all, ratio)}` : '–',
      verdict(bar, ratio)
    ]
  })
}
