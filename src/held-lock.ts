import type { BindingEvent } from './binding'
import type { Observer } from './diagnostics'
import { hold, ignore, listen, release, unhold, type Listener } from './environment'
import { fromBinding, lost, type LockError } from './lock-error'
import type { Logger } from './logger'
import { within } from './paths'

/** Releases a lock. Also carries what its holder needs to know of it. */
export interface UnlockFunc {
  /**
   * Stops and joins the heartbeat, releases the kernel lock and closes the descriptor, in that
   * order; resolves when that is done. Every call returns the same promise, only the first one
   * releases. Rejects with `ERR_UNLOCK_UNSUCCESSFUL` if the unlock or the close failed; that the
   * lock had been lost is not its error.
   *
   * Never called, the lock stays until the process or its worker thread ends.
   */
  (): Promise<void>
  /**
   * Aborts, with an `ERR_LOCK_LOST` error as its reason, as soon as a heartbeat finds that the lock
   * was hijacked, or has failed for so long that another process may take the lock over. Pass it to
   * the work that the lock protects.
   */
  readonly signal: AbortSignal
  /**
   * The fencing token: strictly greater than the token of every earlier grant on this root, shared
   * or exclusive, over crashes, takeovers and reboots. A store that refuses smaller tokens than it
   * has seen is safe even from a holder that was frozen, lost its lock and wakes up again.
   */
  readonly token: number
  /** The same as calling it, for `await using`. */
  [Symbol.asyncDispose](): Promise<void>
}

/** What a lock reports to, and under which path. */
export interface Reporting {
  readonly root: string
  readonly fileName: string
  readonly logger: Logger | undefined
  readonly observer: Observer | undefined
}

export function lockFile({ root, fileName }: Reporting): string {
  return within(root, fileName)
}

/** The part of a request's events that goes to the operator. */
export function report(logger: Logger | undefined, event: BindingEvent): void {
  logger?.[event.level!](event.message!, event.details!)
}

class HeldLock implements Listener {
  readonly #key: number
  readonly #reporting: Reporting
  #lost: LockError | undefined
  /** Made when first asked for: most holders never look. */
  #controller: AbortController | undefined
  #released: Promise<void> | undefined

  constructor(key: number, reporting: Reporting) {
    this.#key = key
    this.#reporting = reporting
    listen(key, this)
  }

  get signal(): AbortSignal {
    if (!this.#controller) {
      this.#controller = new AbortController()
      if (this.#lost) this.#controller.abort(this.#lost)
    }
    return this.#controller.signal
  }

  release(): Promise<void> {
    return (this.#released ??= this.#release())
  }

  #release(): Promise<void> {
    // No longer listened to before it is released: what that causes may be the next grant's.
    ignore(this.#key)
    try {
      if (release(this.#key, this.#reporting.observer)) return Promise.resolve()
    } catch (error) {
      return Promise.reject(error)
    }
    hold()
    return new Promise((resolve, reject) => {
      listen(this.#key, {
        on: (event) => {
          if (event.kind !== 'released') return this.on(event)
          ignore(this.#key)
          unhold()
          const error = event.error && fromBinding(event.error)
          this.#reporting.observer?.released(error)
          if (error) reject(error)
          else resolve()
        }
      })
    })
  }

  on(event: BindingEvent): void {
    if (event.kind === 'log') return report(this.#reporting.logger, event)
    if (event.kind !== 'lost') return
    this.#lost = lost(event.reason!, lockFile(this.#reporting))
    this.#reporting.observer?.lost(event.reason!)
    this.#controller?.abort(this.#lost)
  }
}

const held = Symbol('held lock')

/**
 * What every unlock function inherits, between itself and `Function.prototype`: defining it anew on
 * each would take as long as locking does.
 */
const UnlockPrototype: object = Object.create(Function.prototype, {
  signal: {
    get(this: { [held]: HeldLock }) {
      return this[held].signal
    }
  },
  [Symbol.asyncDispose]: {
    value(this: { [held]: HeldLock }) {
      return this[held].release()
    }
  }
})

/** The face of a lock that was granted. */
export function unlockFunc(key: number, token: number, reporting: Reporting): UnlockFunc {
  const lock = new HeldLock(key, reporting)
  const unlock = (() => lock.release()) as (() => Promise<void>) & Record<string | symbol, unknown>
  unlock['token'] = token
  unlock[held] = lock
  return Object.setPrototypeOf(unlock, UnlockPrototype)
}
