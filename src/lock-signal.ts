// A signal whose `aborted` checks the lock: work that blocks the event loop reads it, and no event can
// have arrived.

const LOOK = Symbol('look')

interface Asked extends AbortSignal {
  [LOOK]: () => void
}

/** Shared by all signals: defining properties on a signal takes longer than making it. */
let prototype: object | undefined

function prototypeOver(base: object): object {
  return Object.create(base, {
    aborted: {
      configurable: true,
      get(this: Asked): unknown {
        this[LOOK]()
        return Reflect.get(base, 'aborted', this)
      }
    },
    throwIfAborted: {
      configurable: true,
      value(this: Asked): void {
        if (this.aborted) throw this.reason
      }
    }
  }) as object
}

/** Calls `look` whenever the signal is asked whether it is aborted. */
export function askedBy(signal: AbortSignal, look: () => void): void {
  ;(signal as Asked)[LOOK] = look
  Object.setPrototypeOf(signal, (prototype ??= prototypeOver(Object.getPrototypeOf(signal))))
}
