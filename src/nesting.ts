// The locks of the `withLock` calls around a call: a wait for one of them would wait for itself.

import { AsyncLocalStorage } from 'node:async_hooks'
// Taken here, before any test puts a fake in its place.
import { setImmediate } from 'node:timers'

/** A lock around a call. Its context may outlive it; then the binding does not know the key any more. */
interface Surrounding {
  readonly key: number
  readonly outer: Surrounding | undefined
}

/** Made when first needed: reading its store takes time at every wait. */
let surroundings: AsyncLocalStorage<Surrounding> | undefined

/** How many calls of `withLock` are running. */
let count = 0
/** Whether the last one has just ended: switching the store off and on takes longer than a lock, so it waits a turn. */
let resting = false

/** Runs what a lock is held for; `leave` has to be called when that has ended. */
export function enter<T>(key: number, fn: () => T): T {
  surroundings ??= new AsyncLocalStorage()
  count++
  return surroundings.run({ key, outer: surroundings.getStore() }, fn)
}

export function leave(): void {
  if (--count > 0 || resting) return
  resting = true
  setImmediate(rest)
}

/** Switches the store off: before Node 24 it slows down every promise of the process. */
function rest(): void {
  resting = false
  if (count === 0) surroundings!.disable()
}

/** The locks inside which a request is made. */
export function surroundingLocks(): number[] {
  const keys: number[] = []
  for (let around = surroundings?.getStore(); around; around = around.outer) keys.push(around.key)
  return keys
}
