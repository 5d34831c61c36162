import { AsyncResource } from 'node:async_hooks'

import type { BindingEvent } from './binding'
import type { Observer } from './diagnostics'
import { environment, ref, ignore, listen, release, unref, type Listener } from './environment'
import { throwLater } from './later'
import { fromBinding, lost, type LockError, type LostReason } from './lock-error'
import type { Logger } from './logger'
import { askedBy } from './lock-signal'
import { within } from './paths'
import { printable } from './printable'

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
   *
   * Work that blocks the event loop keeps the `abort` event from being dispatched, but not the loss
   * from being seen: `unlock.signal.aborted` asks, each time.
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

/** An asynchronous context, to run what belongs there in. */
export interface Context {
  runInAsyncScope<A extends unknown[]>(
    fn: (...args: A) => unknown,
    self?: unknown,
    ...args: A
  ): unknown
}

/** What a lock reports to, and under which path. */
export interface Reporting {
  readonly root: string
  readonly fileName: string
  readonly logger: Logger | undefined
  readonly observer: Observer | undefined
  /** Of the one who asked for the lock; there if there is a logger. */
  readonly context: Context | undefined
}

export function lockFile({ root, fileName }: Reporting): string {
  return within(root, fileName)
}

/** The part of a request's events that goes to the operator. */
export function report(
  { logger, context }: Reporting,
  { level, message, details }: Pick<BindingEvent, 'level' | 'message' | 'details'>
): void {
  const facts = Object.entries(details!).map(([name, value]) => [name, printable(value)])
  try {
    context?.runInAsyncScope(() => logger?.[level!](message!, Object.fromEntries(facts)))
  } catch (error) {
    throwLater(error)
  }
}

class HeldLock implements Listener {
  readonly #key: number
  readonly #token: number
  readonly #reporting: Reporting
  #lost: LockError | undefined
  /** Made when first asked for: most holders never look. */
  #controller: AbortController | undefined
  /** Of whoever looked first: those who listen are called in it. */
  #context: AsyncResource | undefined
  #released: Promise<void> | undefined

  constructor(key: number, token: number, reporting: Reporting) {
    this.#key = key
    this.#token = token
    this.#reporting = reporting
    listen(key, this)
  }

  get signal(): AbortSignal {
    this.#look()
    if (!this.#controller) {
      this.#controller = new AbortController()
      this.#context = new AsyncResource('RootlockSignal')
      askedBy(this.#controller.signal, () => this.#look())
      if (this.#lost) this.#controller.abort(this.#lost)
    }
    return this.#controller.signal
  }

  /**
   * The state is the truth, the event a courtesy: it comes when the event loop turns, and may be too
   * late then for whoever asks.
   */
  #look(): void {
    if (this.#lost || this.#released) return
    const reason = environment.lost(this.#key)
    if (reason) this.#lose(reason)
  }

  release(): Promise<void> {
    if (this.#released) return this.#released
    this.#look()
    return (this.#released = this.#release())
  }

  #release(): Promise<void> {
    // No longer listened to before it is released: what that causes may be the next grant's.
    ignore(this.#key)
    try {
      if (release(this.#key, this.#reporting.observer)) return Promise.resolve()
    } catch (error) {
      return Promise.reject(error)
    }
    ref()
    return new Promise((resolve, reject) => {
      listen(this.#key, {
        on: (event) => {
          if (event.kind !== 'released') return this.on(event)
          ignore(this.#key)
          unref()
          const error = event.error && (fromBinding(event.error, 'unlock') as LockError)
          this.#reporting.observer?.released(error)
          if (error) reject(error)
          else resolve()
        }
      })
    })
  }

  on(event: BindingEvent): void {
    if (event.kind === 'lost') this.#lose(event.reason!)
    // Of a loss the log comes with the loss, whoever finds it first.
    else if (event.kind === 'log' && event.level !== 'error') report(this.#reporting, event)
  }

  #lose(reason: LostReason): void {
    if (this.#lost) return
    const path = lockFile(this.#reporting)
    const error = (this.#lost = lost(reason, path))
    const details = { path, token: String(this.#token), reason }
    report(this.#reporting, { level: 'error', message: 'lock was lost', details })
    this.#reporting.observer?.lost(reason)
    this.#context?.runInAsyncScope(() => this.#controller!.abort(error))
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
  const lock = new HeldLock(key, token, reporting)
  const unlock = (() => lock.release()) as (() => Promise<void>) & Record<string | symbol, unknown>
  unlock['token'] = token
  unlock[held] = lock
  return Object.setPrototypeOf(unlock, UnlockPrototype)
}
