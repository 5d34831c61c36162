// A signal that asks before it answers: work that blocks the event loop looks at `signal.aborted`,
// and no event can have come.

/** Has `look` called whenever somebody looks at the signal. */
export function askedBy(signal: AbortSignal, look: () => void): void {
  const base: object = Object.getPrototypeOf(signal)
  const asks = (name: 'aborted' | 'reason') => ({
    configurable: true,
    get: (): unknown => {
      look()
      return Reflect.get(base, name, signal)
    }
  })
  // On the signal itself: a prototype of its own, or a symbol beside, takes as long as making it.
  Object.defineProperty(signal, 'aborted', asks('aborted'))
  Object.defineProperty(signal, 'reason', asks('reason'))
  Object.defineProperty(signal, 'throwIfAborted', {
    configurable: true,
    writable: true,
    value: () => {
      if (signal.aborted) throw signal.reason
    }
  })
}
