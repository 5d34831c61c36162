// This environment's side of the binding: one object, one stream of events, and what keeps the
// event loop alive while something is waited for.

import { BindingEnvironment, type BindingEvent } from '../binding.cjs'

type Listener = (event: BindingEvent) => void

const listeners = new Map<number, Listener>()

export const environment = new BindingEnvironment((event) => listeners.get(event.key)?.(event))

/** Hears the events of a request until `ignore`. */
export function listen(key: number, listener: Listener): void {
  listeners.set(key, listener)
}

export function ignore(key: number): void {
  listeners.delete(key)
}

let pending = 0
let keepAlive: NodeJS.Timeout | undefined

/** Events do not keep the event loop alive, so that a held lock does not. What is waited for does. */
export function hold(): void {
  if (pending++ === 0) keepAlive = setInterval(() => {}, 2 ** 31 - 1)
}

export function unhold(): void {
  if (--pending === 0) clearInterval(keepAlive)
}

/** A request that ends with one event: the event, while the event loop is kept alive. */
export function ask(request: () => number): Promise<BindingEvent> {
  return new Promise((resolve) => {
    const key = request()
    hold()
    listen(key, (event) => {
      ignore(key)
      unhold()
      resolve(event)
    })
  })
}
