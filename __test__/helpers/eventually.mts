import { setTimeout as pause } from 'node:timers/promises'

/**
 * How long a test waits for something that must happen: much longer than it takes on a busy machine. An
 * emulated processor needs that long to start the processes of a few tests at once.
 */
export const DEADLINE = 'ROOTLOCK_EMULATED' in process.env ? 150_000 : 30_000

const PAUSE = 10

/** Polls until the result is truthy, and returns it. */
export async function eventually<T>(what: string, look: () => T | Promise<T>): Promise<T> {
  const until = performance.now() + DEADLINE
  for (;;) {
    const seen = await look()
    if (seen) return seen
    if (performance.now() > until) throw new Error(`it never happened that ${what}`)
    await pause(PAUSE)
  }
}

/** The promise's own result, if it settles before the deadline. */
export async function inTime<T>(what: string, promise: Promise<T>, within = DEADLINE): Promise<T> {
  const late = new AbortController()
  const deadline = pause(within, undefined, { signal: late.signal }).then(
    () => {
      throw new Error(`it never happened that ${what}`)
    },
    () => undefined as never
  )
  try {
    return await Promise.race([promise, deadline])
  } finally {
    late.abort()
  }
}
