/** Maps values to pixels. */
export interface Scale {
  (value: number): number
  ticks: number[]
}

export function linear(
  low: number,
  high: number,
  from: number,
  to: number,
  ticks: number[]
): Scale {
  return Object.assign((value: number) => from + ((value - low) / (high - low)) * (to - from), {
    ticks
  })
}

/** Whole decades around the values; anything below the lowest one is drawn on it. */
export function decades(values: readonly number[], from: number, to: number): Scale {
  const positive = values.filter((value) => value > 0)
  const low = Math.floor(Math.log10(Math.min(...positive)))
  const high = Math.max(low + 1, Math.ceil(Math.log10(Math.max(...positive))))
  const place = (value: number) =>
    from + ((Math.log10(Math.max(value, 10 ** low)) - low) / (high - low)) * (to - from)
  const ticks = Array.from({ length: high - low + 1 }, (_, index) => 10 ** (low + index))
  return Object.assign(place, { ticks })
}
