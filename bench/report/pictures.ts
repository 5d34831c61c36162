import { unsafe, values, type Result, type Results } from '../results.js'
import { median } from '../statistics.js'
import { subject } from './bars.js'
import { duration, figure } from './figure.js'
import { drawLines } from './lines.js'
import { drawRows, type Row } from './rows.js'
import { decades, linear } from './scale.js'
import { themes, type Theme } from './svg.js'

/** Peers that a reader looks for. */
const coloured = ['fs-native-extensions', 'fs-ext', 'proper-lockfile']

interface Picture {
  name: string
  text: string
  draw(theme: Theme): string
}

const resultOf = (found: Results, measure: string): Result =>
  found.results.find((result) => result.measure === measure) ?? { measure, entries: [] }

/** Medians of one metric, by contender that has any. */
function medians(found: Results, measure: string, metric: string): Map<string, number> {
  const pairs = resultOf(found, measure).entries.map(
    (entry) => [entry.adapter, median(values(entry, metric))] as const
  )
  return new Map(pairs.filter(([, value]) => !Number.isNaN(value)))
}

function row(
  found: Results,
  name: string,
  first: number,
  second: number | undefined,
  note: string
): Row {
  const label = name + (unsafe(found.results).has(name) ? ' †' : '')
  return {
    label,
    subject: name === subject,
    values: second === undefined ? [first] : [first, second],
    note
  }
}

const footnote = (found: Results) => (unsafe(found.results).size ? '  † lost updates.' : '')

function handOver(found: Results): Picture | undefined {
  const p50 = medians(found, 'hand-over', 'p50')
  const p99 = medians(found, 'hand-over', 'p99')
  if (p50.size === 0) return undefined
  const rows = [...p50]
    .toSorted((a, b) => a[1] - b[1])
    .map(([name, value]) =>
      row(
        found,
        name,
        value,
        p99.get(name),
        `${duration(value)} · ${duration(p99.get(name) ?? NaN)}`
      )
    )
  const title = 'Hand-over between two processes'
  const subtitle = `From the release to the next line of the waiter. ● median  ○ 99th percentile. Left is better.${footnote(found)}`
  return {
    name: 'hand-over',
    text: title,
    draw: (theme) =>
      drawRows(theme, { title, subtitle, tick: duration, scale: decades, stem: 'range', rows })
  }
}

function throughput(found: Results): Picture | undefined {
  const measured = found.results
    .map(({ measure }) => ({ measure, count: Number(/^processes-(\d+)$/.exec(measure)?.[1]) }))
    .filter(({ count }) => count > 0)
    .map(({ measure, count }) => ({ count, ops: medians(found, measure, 'ops') }))
  if (measured.length < 2) return undefined
  const names = [...new Set(measured.flatMap(({ ops }) => [...ops.keys()]))]
  measured.unshift({ count: 1, ops: medians(found, 'free', 'pairs') })
  const lines = names
    .map((name) => {
      const points = measured
        .map(({ count, ops }) => ({ x: count, y: ops.get(name) ?? 0 }))
        .filter((point) => point.y > 0)
      const { label } = row(found, name, 0, undefined, '')
      return { label, subject: name === subject, accent: coloured.indexOf(name), points }
    })
    .filter(({ points }) => points.length > 0)
    .toSorted((a, b) => b.points.at(-1)!.y - a.points.at(-1)!.y)
  const title = 'Throughput against processes'
  const subtitle = `Locks taken and released, all processes together, no hold. Up is better.${footnote(found)}`
  return {
    name: 'throughput',
    text: title,
    draw: (theme) =>
      drawLines(theme, { title, subtitle, unit: 'ops/s', xTitle: 'processes', lines })
  }
}

const zeroToOne = (_: readonly number[], from: number, to: number) =>
  linear(0, 1, from, to, [0, 0.25, 0.5, 0.75, 1])

function fairness(found: Results): Picture | undefined {
  const hold = medians(found, 'hold', 'jain')
  const many = medians(found, 'processes-64', 'jain')
  const names = [...new Set([...hold.keys(), ...many.keys()])]
  if (names.length === 0) return undefined
  const rows = names
    .map((name) => ({ name, eight: hold.get(name) ?? NaN, sixtyFour: many.get(name) ?? NaN }))
    .toSorted((a, b) => b.eight - a.eight)
    .map(({ name, eight, sixtyFour }) =>
      row(found, name, eight, sixtyFour, `${figure(eight)} · ${figure(sixtyFour)}`)
    )
  const title = 'Fairness'
  const subtitle = `Jain index. ● 8 processes, 1 ms hold  ○ 64 processes, no hold. 1: everybody got the same.${footnote(found)}`
  return {
    name: 'fairness',
    text: title,
    draw: (theme) =>
      drawRows(theme, { title, subtitle, tick: String, scale: zeroToOne, stem: 'none', rows })
  }
}

/** Decades; zero is drawn at their lower end. */
const decadesFromOne = (all: readonly number[], from: number, to: number) =>
  decades([1, ...all.filter((value) => value > 1)], from, to)
const tickFromOne = (value: number) => (value === 1 ? '0…1' : figure(value))

function wakeUps(found: Results): Picture | undefined {
  const wakes = medians(found, 'waiting', 'wakeUps')
  const cpu = medians(found, 'waiting', 'cpu')
  if (wakes.size === 0) return undefined
  const rows = [...wakes]
    .toSorted((a, b) => a[1] - b[1])
    .map(([name, value]) =>
      row(
        found,
        name,
        value,
        undefined,
        `${figure(value)}/s · ${figure(cpu.get(name) ?? NaN)} ms/s`
      )
    )
  const title = 'What 20 waiting processes cost'
  const subtitle = `Wake-ups a second, all 20 together (at the end of a row also CPU time). Left is better.${footnote(found)}`
  return {
    name: 'wake-ups',
    text: title,
    draw: (theme) =>
      drawRows(theme, {
        title,
        subtitle,
        tick: tickFromOne,
        scale: decadesFromOne,
        stem: 'axis',
        rows
      })
  }
}

const all = (found: Results): Picture[] =>
  [handOver(found), throughput(found), fairness(found), wakeUps(found)].filter(
    (picture) => picture !== undefined
  )

export const captions = (found: Results): { name: string; text: string }[] => all(found)

/** File name → SVG, every picture once for light and once for dark surroundings. */
export function pictures(found: Results): Map<string, string> {
  return new Map(
    all(found).flatMap((picture) =>
      themes.map((theme) => [`${picture.name}-${theme.name}.svg`, picture.draw(theme)] as const)
    )
  )
}
