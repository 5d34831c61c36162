/** A number for people: three significant digits, thousands as k. */
export function figure(value: number): string {
  if (Number.isNaN(value)) return '–'
  const size = Math.abs(value)
  if (size >= 999_500) return `${Number((value / 1e6).toPrecision(3))} M`
  if (size >= 9_995) return `${Number((value / 1e3).toPrecision(3))} k`
  if (size >= 100) return String(Math.round(value))
  if (size < 1e-6) return '0'
  return String(Number(value.toPrecision(3)))
}

/** A time given in µs, in the unit that suits it. */
export function duration(us: number): string {
  if (us >= 999_500) return `${figure(us / 1e6)} s`
  return us >= 999.5 ? `${figure(us / 1e3)} ms` : `${figure(us)} µs`
}

export function spread(values: readonly number[], middle: number): string {
  if (values.length === 0) return '–'
  const low = figure(Math.min(...values))
  const high = figure(Math.max(...values))
  return low === high ? figure(middle) : `${figure(middle)} (${low}…${high})`
}
