// A signal that asks before it answers: work that blocks the event loop looks at `signal.aborted`,
// and no event can have come.

/** Has `look` called whenever somebody asks whether the signal has aborted. */
export function askedBy(signal: AbortSignal, look: () => void): void {
  const base: object = Object.getPrototypeOf(signal)
  // On the signal itself: a prototype of its own takes as long as making it.
  Object.defineProperty(signal, 'throwIfAborted', {
    configurable: true,
    value: () => {
      if (signal.aborted) throw signal.reason
    }
  })
  Object.defineProperty(signal, 'aborted', {
    configurable: true,
    get: (): unknown => {
      look()
      return Reflect.get(base, 'aborted', signal)
    }
  })
}
