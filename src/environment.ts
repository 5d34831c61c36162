// This environment's side of the binding: one object, one stream of events, and what keeps the
// event loop alive while something is waited for.

import { MessageChannel } from 'node:worker_threads'

import { BindingEnvironment, type BindingEvent } from './binding'
import type { Observer } from './diagnostics'
import { throwLater } from './later'
import { fromBinding, type LockError } from './lock-error'

/** Hears what happens to a request. */
export interface Listener {
  /** The lock that was waited for. */
  granted?(token: number): void
  on(event: BindingEvent): void
}

const listeners = new Map<number, Listener>()

/** A grant is two numbers, because it is what most events are; everything else has words. */
function dispatch(key: number, token: number, event?: BindingEvent): void {
  const listener = listeners.get(key)
  if (event) listener?.on(event)
  else listener?.granted!(token)
}

export const environment = new BindingEnvironment(dispatch)

let keys = 0

/** A number that names a request, and what comes of it. */
export function nextKey(): number {
  return ++keys
}

/** Releases a lock: whether that is done; else the `released` event tells, with the error. */
export function release(key: number, observer: Observer | undefined): boolean {
  const released = environment.release(key)
  if (released === false) return false
  if (released === true) {
    observer?.released(undefined)
    return true
  }
  if (!Array.isArray(released)) {
    const error = fromBinding(released, 'unlock') as LockError
    observer?.released(error)
    throw error
  }
  observer?.released(undefined)
  // The lock went on to the next caller, who is here too, and has heard everything that was before.
  const [next, token] = released
  try {
    dispatch(next!, token!)
  } catch (error) {
    // Not the error of who releases.
    throwLater(error)
  }
  return true
}

/** Hears the events of a request until `ignore`. */
export function listen(key: number, listener: Listener): void {
  listeners.set(key, listener)
}

export function ignore(key: number): void {
  listeners.delete(key)
}

let pending = 0
/** Not a timer: tests put fakes in the place of those, which keep nothing alive, or never let go. */
let keepAlive: MessageChannel | undefined

/** Events do not keep the event loop alive, so that a held lock does not. What is waited for does. */
export function ref(): void {
  if (pending++ > 0) return
  keepAlive ??= new MessageChannel()
  keepAlive.port1.ref()
}

export function unref(): void {
  if (--pending === 0) keepAlive!.port1.unref()
}

/** A request that ends with one event: the event, while the event loop is kept alive. */
export function ask(request: (key: number) => void): Promise<BindingEvent> {
  return new Promise((resolve) => {
    const key = nextKey()
    request(key)
    ref()
    listen(key, {
      on(event) {
        ignore(key)
        unref()
        resolve(event)
      }
    })
  })
}
