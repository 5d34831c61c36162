// A signal that asks before it answers: work that blocks the event loop looks at `signal.aborted`,
// and no event can have come.

const ask = Symbol('ask')

interface Asked extends AbortSignal {
  [ask](): void
}

/** Between a signal and the prototype it had; made once for each such prototype, which is one. */
let prototype: object | undefined

/** Has `look` called whenever somebody looks at the signal. */
export function askedBy(signal: AbortSignal, look: () => void): void {
  const base: object = Object.getPrototypeOf(signal)
  if (!prototype || Object.getPrototypeOf(prototype) !== base) prototype = over(base)
  Object.defineProperty(signal, ask, { value: look })
  Object.setPrototypeOf(signal, prototype)
}

function over(base: object): object {
  const getter = (name: 'aborted' | 'reason'): PropertyDescriptor => ({
    configurable: true,
    get(this: Asked): unknown {
      this[ask]()
      return Reflect.get(base, name, this)
    }
  })
  return Object.create(base, {
    aborted: getter('aborted'),
    reason: getter('reason'),
    throwIfAborted: {
      configurable: true,
      writable: true,
      value(this: Asked): void {
        if (this.aborted) throw this.reason
      }
    }
  })
}
