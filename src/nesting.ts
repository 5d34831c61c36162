// Which locks of `withLock` a call is inside of: who waits for one of them waits for itself.

import { AsyncLocalStorage } from 'node:async_hooks'
// Taken here, before any test puts a fake in its place.
import { setImmediate } from 'node:timers'

import { environment } from './environment'

/** A lock around a call. Its context may outlive it; then the binding does not know the key any more. */
interface Surrounding {
  readonly key: number
  readonly shared: boolean
  readonly outer: Surrounding | undefined
}

/** Made when first needed: asking for its store takes time at every wait. */
let surroundings: AsyncLocalStorage<Surrounding> | undefined

/** How many are inside. */
let count = 0
/** In the turn after the last one has ended: to switch a store off and on takes longer than a lock. */
let resting = false

/** Runs what a lock is held for; `leave` has to be called when that has ended. */
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

/** Before Node 24 every promise of the process takes longer while a store is in use. */
function rest(): void {
  resting = false
  if (count === 0) surroundings!.disable()
}

/** Whether a request can't be granted before what it is made in has ended. */
export function waitsForItself(place: string | number, fileName: string, shared: boolean): boolean {
  let around = surroundings?.getStore()
  for (; around; around = around.outer) {
    const { key } = around
    if (shared && around.shared) continue
    // A lock that was lost keeps nobody out.
    if (environment.isLockOf(key, place, fileName) && !environment.lost(key)) return true
  }
  return false
}
