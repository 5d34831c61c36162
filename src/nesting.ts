// The locks of the `withLock` calls around a call: a wait for one of them would wait for itself.

import { AsyncLocalStorage } from 'node:async_hooks'
// Taken here, before any test puts a fake in its place.
import { setImmediate } from 'node:timers'

import { environment } from './environment'

/** A lock around a call. Its context may outlive it; then the binding no longer knows the key. */
interface Surrounding {
  readonly key: number
  readonly shared: boolean
  readonly outer: Surrounding | undefined
}

/** Made when first needed: reading its store takes time at every wait. */
let surroundings: AsyncLocalStorage<Surrounding> | undefined

/** How many calls of `withLock` are running. */
let count = 0
/** Whether the last one has just ended: switching the store off and on takes longer than a lock, so it waits a turn. */
let resting = false

/** Runs the function of a `withLock`; the caller must call `leave` when it has ended. */
export function enter<T>(key: number, shared: boolean, fn: () => T): T {
  surroundings ??= new AsyncLocalStorage()
  count++
  return surroundings.run({ key, shared, outer: surroundings.getStore() }, fn)
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

/** Whether a request can't be granted before the `withLock` around it has ended. */
export function waitsForItself(place: string | number, fileName: string, shared: boolean): boolean {
  let around = surroundings?.getStore()
  for (; around; around = around.outer) {
    const { key } = around
    if (shared && around.shared) continue
    // A lost lock excludes nobody.
    if (environment.isLockOf(key, place, fileName) && !environment.lost(key)) return true
  }
  return false
}
