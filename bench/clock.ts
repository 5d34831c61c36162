/**
 * `performance.now()` and `process.hrtime` tick on one clock from two origins; this is the distance between them.
 * Read between two readings of the other, as close as a few tries get: being preempted in between would shift
 * this process against all others for good.
 */
function originOfPerformance(): number {
  let closest = Infinity
  let origin = 0
  for (let i = 0; i < 50; i++) {
    const before = performance.now()
    const shared = Number(process.hrtime.bigint()) / 1e6
    const after = performance.now()
    if (after - before < closest) {
      closest = after - before
      origin = shared - (before + after) / 2
    }
  }
  return origin
}

const origin = originOfPerformance()

/** Milliseconds on the system's monotonic clock, the same in every process (Linux: CLOCK_MONOTONIC). */
export const now = (): number => performance.now() + origin
