// Listens to the callers' signals: with one listener each, however many requests use it, because Node
// warns of a leak when a signal has many.

const heard = new WeakMap<AbortSignal, Ears>()

/** The callbacks of one signal. */
class Ears {
  readonly waiting = new Set<() => void>()
  /** A function, because not every polyfill accepts an object. */
  readonly listener = (): void => {
    for (const aborted of this.waiting) aborted()
  }
}

/** Calls `aborted` when the signal aborts, until the returned function is called. */
export function onAbort(signal: AbortSignal, aborted: () => void): () => void {
  let ears = heard.get(signal)
  if (!ears) {
    ears = new Ears()
    // Not `onabort`, which is the user's.
    signal.addEventListener('abort', ears.listener)
    heard.set(signal, ears)
  }
  ears.waiting.add(aborted)
  return () => {
    ears.waiting.delete(aborted)
    if (ears.waiting.size > 0 || heard.get(signal) !== ears) return
    heard.delete(signal)
    signal.removeEventListener('abort', ears.listener)
  }
}
