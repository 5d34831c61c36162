// A signal that asks before it answers: work that blocks the event loop looks at `signal.aborted`,
// and no event can have come.

const LOOK = Symbol('look')

interface Asked extends AbortSignal {
  [LOOK]: () => void
}

/** One for all: properties of its own would take a signal longer than to be made. */
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

/** Has `look` called whenever somebody asks the signal whether it is aborted. */
export function askedBy(signal: AbortSignal, look: () => void): void {
  ;(signal as Asked)[LOOK] = look
  Object.setPrototypeOf(signal, (prototype ??= prototypeOver(Object.getPrototypeOf(signal))))
}
