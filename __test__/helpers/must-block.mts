import { setTimeout as pause } from 'node:timers/promises'

/** Long enough to see that nothing happens; proves nothing more. */
const QUIET = 80

export function quiet(): Promise<void> {
  return pause(QUIET)
}

/** Fails if the promise settles within a short time. It may settle later. */
export async function mustBlock(promise: Promise<unknown>): Promise<void> {
  const settled = promise.then(
    () => 'resolved',
    (error: unknown) => `was rejected: ${String(error)}`
  )
  const what = await Promise.race([settled, quiet()])
  if (what) throw new Error(`should block, but ${what}`)
}
