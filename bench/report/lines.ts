import { figure } from './figure.js'
import { decades, linear } from './scale.js'
import { circle, drawing, element, line, text, type Theme } from './svg.js'

export interface Line {
  label: string
  subject: boolean
  /** The number of its colour, if it has one. */
  accent?: number
  points: readonly { x: number; y: number }[]
}

export interface Lines {
  title: string
  subtitle: string
  unit: string
  xTitle: string
  lines: readonly Line[]
}

const width = 760
const height = 460
const left = 70
const right = 560
const top = 104
const bottom = 400
const labelStep = 16

/** Moves overlapping labels apart, keeping their order. */
function apart(wanted: readonly number[]): number[] {
  const order = wanted.map((_, index) => index).toSorted((a, b) => wanted[a]! - wanted[b]!)
  const placed = [...wanted]
  for (const [rank, index] of order.entries()) {
    const before = order[rank - 1]
    if (before !== undefined) placed[index] = Math.max(wanted[index]!, placed[before]! + labelStep)
  }
  // Labels pushed out at the bottom move back up.
  let limit = bottom + 6
  for (const index of order.toReversed()) {
    placed[index] = Math.min(placed[index]!, limit)
    limit = placed[index]! - labelStep
  }
  return placed
}

/** Lines over a doubling count, both axes logarithmic, each named where it ends. */
export function drawLines(theme: Theme, { title, subtitle, unit, xTitle, lines }: Lines): string {
  const counts = [...new Set(lines.flatMap(({ points }) => points.map(({ x }) => x)))].toSorted(
    (a, b) => a - b
  )
  const x = linear(Math.log2(counts[0]!), Math.log2(counts.at(-1)!), left, right, [])
  const y = decades(
    lines.flatMap(({ points }) => points.map((point) => point.y)),
    bottom,
    top
  )

  const grid = [
    ...y.ticks.flatMap((tick) => [
      line(left, y(tick), right, y(tick), { stroke: theme.grid }),
      text(left - 10, y(tick) + 4, figure(tick), {
        fill: theme.muted,
        'text-anchor': 'end',
        'font-size': 12
      })
    ]),
    ...counts.map((count) =>
      text(x(Math.log2(count)), bottom + 20, String(count), {
        fill: theme.muted,
        'text-anchor': 'middle',
        'font-size': 12
      })
    ),
    text(right, bottom + 40, xTitle, { fill: theme.muted, 'text-anchor': 'end', 'font-size': 12 }),
    text(left - 10, top - 20, unit, { fill: theme.muted, 'text-anchor': 'end', 'font-size': 12 })
  ]
  const colorOf = (entry: Line) =>
    entry.subject ? theme.subject : (theme.accents[entry.accent ?? -1] ?? theme.peer)
  const labels = apart(lines.map(({ points }) => y(points.at(-1)!.y)))

  // The subject comes last, so that it lies on top.
  const order = lines
    .map((entry, index) => ({ entry, index }))
    .toSorted((a, b) => +a.entry.subject - +b.entry.subject)
  const drawn = order.flatMap(({ entry, index }) => {
    const color = colorOf(entry)
    const points = entry.points.map((point) => [x(Math.log2(point.x)), y(point.y)] as const)
    const end = points.at(-1)!
    return [
      element('polyline', {
        points: points.map((pair) => pair.map((value) => value.toFixed(1)).join(',')).join(' '),
        fill: 'none',
        stroke: color,
        'stroke-width': entry.subject ? 3 : 1.8,
        'stroke-linejoin': 'round'
      }),
      ...points.map(([cx, cy]) => circle(cx, cy, entry.subject ? 4 : 2.8, { fill: color })),
      line(end[0] + 7, end[1], end[0] + 24, labels[index]!, { stroke: color, opacity: 0.5 }),
      text(end[0] + 28, labels[index]! + 4, entry.label, {
        fill: color === theme.peer ? theme.muted : color,
        'font-weight': entry.subject ? 600 : undefined
      })
    ]
  })
  return drawing(theme, { width, height }, { title, subtitle }, [...grid, ...drawn])
}
