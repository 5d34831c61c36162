// Listens to the callers' signals: with one listener each, however many requests use it, because Node
// warns of a leak when a signal has many.

import { addAbortListener } from 'node:events'

/** The callbacks by signal. */
const heard = new WeakMap<AbortSignal, Ears>()

/** The callbacks of one signal. */
class Ears {
  readonly waiting = new Set<() => void>()
  readonly deaf: () => void

  constructor(signal: AbortSignal) {
    this.deaf = listen(signal, () => {
      for (const aborted of this.waiting) aborted()
    })
  }
}

/** Calls `listener` when the signal aborts; the result ends that. */
function listen(signal: AbortSignal, listener: () => void): () => void {
  if (signal instanceof AbortSignal && typeof addAbortListener === 'function') {
    // A listener that came before can't keep the event from this one.
    const listening = addAbortListener(signal, listener)
    // Node's `Symbol.dispose`, which a context of its own may lack (jest's jsdom, vitest's vmThreads).
    const [dispose] = Object.getOwnPropertySymbols(listening) as (keyof Disposable)[]
    return () => listening[dispose!]()
  }
  // A function: not every polyfill takes an object. Not `onabort`, which is the user's.
  signal.addEventListener('abort', listener)
  return () => signal.removeEventListener('abort', listener)
}

/** Calls `aborted` when the signal aborts; the result ends that. */
export function onAbort(signal: AbortSignal, aborted: () => void): () => void {
  let ears = heard.get(signal)
  if (!ears) {
    ears = new Ears(signal)
    heard.set(signal, ears)
  }
  ears.waiting.add(aborted)
  return () => {
    ears.waiting.delete(aborted)
    if (ears.waiting.size > 0 || heard.get(signal) !== ears) return
    heard.delete(signal)
    ears.deaf()
  }
}
