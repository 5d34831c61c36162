import type { Scale } from './scale.js'
import { circle, drawing, line, text, type Theme } from './svg.js'

export interface Row {
  label: string
  subject: boolean
  /** Full dot, then hollow dot; NaN draws nothing. */
  values: readonly [number, number?]
  /** The text at the end of the row. */
  note: string
}

export interface Rows {
  title: string
  subtitle: string
  /** The text at a tick of the axis. */
  tick(value: number): string
  scale(values: readonly number[], from: number, to: number): Scale
  /** Joins a dot with the axis (an amount) or the two dots with each other (a range). */
  stem: 'axis' | 'range' | 'none'
  rows: readonly Row[]
}

const width = 760
const left = 190
const right = 620
const top = 80
const step = 30

const drawn = (value: number | undefined): value is number =>
  value !== undefined && !Number.isNaN(value)

/** One row per contender, a dot or two on a common axis. */
export function drawRows(
  theme: Theme,
  { title, subtitle, tick: name, scale, stem, rows }: Rows
): string {
  const bottom = top + rows.length * step
  const place = scale(
    rows.flatMap(({ values }) => values.filter((value) => value !== undefined)),
    left,
    right
  )
  const axis = place.ticks.flatMap((tick) => [
    line(place(tick), top - 6, place(tick), bottom, { stroke: theme.grid }),
    text(place(tick), bottom + 18, name(tick), {
      fill: theme.muted,
      'text-anchor': 'middle',
      'font-size': 12
    })
  ])
  const marks = rows.flatMap(({ label, subject, values: [full, hollow], note }, index) => {
    const y = top + index * step + step / 2
    const color = subject ? theme.subject : theme.peer
    const ends = stem === 'axis' ? [left, full] : [full, hollow]
    const parts = [
      text(left - 14, y + 4.5, label, {
        fill: subject ? theme.subject : theme.text,
        'text-anchor': 'end',
        'font-weight': subject ? 600 : undefined
      }),
      text(right + 16, y + 4.5, note, { fill: theme.muted, 'font-size': 12 })
    ]
    if (stem !== 'none' && drawn(ends[0]) && drawn(ends[1])) {
      const x1 = stem === 'axis' ? left : place(ends[0])
      parts.push(line(x1, y, place(ends[1]), y, { stroke: color, 'stroke-width': subject ? 3 : 2 }))
    }
    if (drawn(hollow))
      parts.push(
        circle(place(hollow), y, 4.5, { fill: theme.surface, stroke: color, 'stroke-width': 2 })
      )
    if (drawn(full)) parts.push(circle(place(full), y, subject ? 6 : 5, { fill: color }))
    return parts
  })
  return drawing(theme, { width, height: bottom + 40 }, { title, subtitle }, [...axis, ...marks])
}
