// Listening to the caller's signals: one listener each, however many wait with it. Of many, a signal
// would warn as of a leak.

const heard = new WeakMap<AbortSignal, Ears>()

/** All who want to know of one signal. */
class Ears {
  readonly waiting = new Set<() => void>()
  /** A function: not every polyfill takes an object. */
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
