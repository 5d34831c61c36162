/** The value below which a share `p` (0…1) of the samples lies, by nearest rank. */
export function percentile(samples: readonly number[], p: number): number {
  if (samples.length === 0) return NaN
  const sorted = [...samples].toSorted((a, b) => a - b)
  return sorted[Math.max(0, Math.ceil(p * sorted.length) - 1)] as number
}

export function median(samples: readonly number[]): number {
  if (samples.length === 0) return NaN
  const sorted = [...samples].toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  const upper = sorted[middle] as number
  return sorted.length % 2 ? upper : ((sorted[middle - 1] as number) + upper) / 2
}

export const sum = (samples: readonly number[]): number => samples.reduce((a, b) => a + b, 0)

/** Jain's fairness index: 1 when everybody got the same, 1/n when one got everything. */
export function jain(shares: readonly number[]): number {
  const total = sum(shares)
  return total === 0 ? NaN : total ** 2 / (shares.length * sum(shares.map((share) => share ** 2)))
}
