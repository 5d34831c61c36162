import { AsyncResource } from 'node:async_hooks'

import type { BindingError, BindingEvent } from './binding'
import type { Observer } from './diagnostics'
import {
  block,
  ref,
  ignore,
  listen,
  release,
  unref,
  type Environment,
  type Listener
} from './environment'
import { throwLater } from './later'
import { fromBinding, lost, type LockError, type LostReason } from './lock-error'
import type { Logger } from './logger'
import { askedBy } from './lock-signal'
import { within } from './paths'
import { printable } from './printable'

/** Releases a lock, and has the properties that its holder needs. */
export interface UnlockFunc {
  /**
   * Stops and joins the heartbeat, releases the kernel lock and closes the descriptor, in that
   * order; resolves when that is done. Every call returns the same promise; only the first one
   * releases the lock. Rejects with `ERR_UNLOCK_UNSUCCESSFUL` if the unlock or the close failed, but not
   * because the lock had been lost.
   *
   * If it is never called, the lock is held until the process or its worker thread ends.
   */
  (): Promise<void>
  /**
   * Releases the lock in the same way, but blocks until that is done, and throws what the promise would
   * reject with. On a network file system that takes as long as the server does. Only the first call of either
   * kind releases the lock; a later one blocks until the release is done.
   */
  sync(): void
  /**
   * Aborts, with an `ERR_LOCK_LOST` error as its reason, as soon as a heartbeat finds that the lock
   * was hijacked, or the heartbeat has failed for so long that another process may take the lock over.
   * Pass it to the work that the lock protects.
   *
   * Work that blocks the event loop delays the `abort` event, but can still notice the loss:
   * `unlock.signal.aborted` checks the lock each time it is read.
   */
  readonly signal: AbortSignal
  /**
   * The fencing token: strictly greater than the token of every earlier grant on this root, shared
   * or exclusive, across crashes, takeovers and reboots. A store that refuses tokens smaller than the
   * greatest it has seen is safe even from a holder that froze, lost its lock and wakes up again.
   */
  readonly token: number
  /** Releases the lock, for `await using`. */
  [Symbol.asyncDispose](): Promise<void>
  /** Releases the lock as `sync` does, for `using`. */
  [Symbol.dispose](): void
}

/** An asynchronous context to call functions in. */
export interface Context {
  runInAsyncScope<A extends unknown[]>(
    fn: (...args: A) => unknown,
    self?: unknown,
    ...args: A
  ): unknown
}

/** Where a lock reports events, and under which path. */
export interface Reporting {
  readonly environment: Environment
  readonly root: string
  readonly fileName: string
  readonly logger: Logger | undefined
  readonly observer: Observer | undefined
  /** The context of the lock's caller; set if there is a logger. */
  readonly context: Context | undefined
}

/** How messages name a lock. */
export function lockFile({
  environment,
  root,
  fileName
}: Pick<Reporting, 'environment' | 'root' | 'fileName'>): string {
  return environment.engine === 'directory' ? within(root, fileName) : `${root}#${fileName}`
}

/** Passes a `log` event on to the logger. */
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
  /** Made on first use: most holders never read the signal. */
  #controller: AbortController | undefined
  /** The context of the first reader of the signal; listeners are called in it. */
  #context: AsyncResource | undefined
  #released: Promise<void> | undefined
  /** How the release ended, once that is known. */
  #result: { readonly error?: LockError } | undefined

  constructor(key: number, token: number, reporting: Reporting) {
    this.#key = key
    this.#token = token
    this.#reporting = reporting
    listen(key, this)
  }

  get #environment(): Environment {
    return this.#reporting.environment
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
   * Asks the binding whether the lock is lost, because the event waits for the event loop and may come too
   * late for a caller that asks now.
   */
  #look(): void {
    if (this.#lost || this.#released) return
    const reason = this.#environment.lost(this.#key)
    if (reason) this.#lose(reason)
  }

  release(): Promise<void> {
    if (this.#released) return this.#released
    const released = this.#release(false)
    // A listener that was notified of the loss may have released the lock meanwhile.
    return (this.#released ??= released)
  }

  releaseSync(): void {
    if (!this.#released) {
      const released = this.#release(true)
      this.#released ??= released
    } else if (!this.#result && !this.#environment.blockRelease(this.#key)) {
      // It is done; the event that says so is on its way to the promise.
      return
    }
    while (!this.#result) block(this.#environment, this.#key)
    const { error } = this.#result
    if (!error) return
    // Whoever is told here need not look at the promise.
    this.#released.catch(() => {})
    throw error
  }

  #release(blocks: boolean): Promise<void> {
    // Stops listening before the release, whose events may already belong to the next grant.
    ignore(this.#key)
    try {
      const { environment, observer } = this.#reporting
      let released = release(environment, this.#key, this.#lost !== undefined, observer, blocks)
      if (typeof released === 'string') {
        this.#lose(released)
        released = release(environment, this.#key, true, observer, blocks)
      }
      if (released) {
        this.#result = {}
        return Promise.resolve()
      }
    } catch (error) {
      this.#result = { error: error as LockError }
      return Promise.reject(error)
    }
    ref()
    return new Promise((resolve, reject) => {
      listen(this.#key, {
        on: (event) => {
          if (event.kind !== 'released') return this.on(event)
          ignore(this.#key)
          unref()
          const error = event.error && this.#unlockError(event.error)
          this.#result = error ? { error } : {}
          this.#reporting.observer?.released(error)
          if (error) reject(error)
          else resolve()
        }
      })
    })
  }

  #unlockError(error: BindingError): LockError {
    return fromBinding(error, 'unlock', this.#environment.engine) as LockError
  }

  on(event: BindingEvent): void {
    if (event.kind === 'lost') this.#lose(event.reason!)
    // A loss is logged where it is handled, whether the event or a caller finds it first.
    else if (event.kind === 'log' && event.level !== 'error') report(this.#reporting, event)
  }

  #lose(reason: LostReason): void {
    if (this.#lost) return
    const path = lockFile(this.#reporting)
    const error = (this.#lost = lost(reason, path, this.#environment.engine))
    const details = { path, token: String(this.#token), reason }
    report(this.#reporting, { level: 'error', message: 'lock was lost', details })
    this.#reporting.observer?.lost(reason)
    this.#context?.runInAsyncScope(() => this.#controller!.abort(error))
  }
}

const held = Symbol('held lock')

/**
 * The prototype of every unlock function, itself derived from `Function.prototype`: defining these
 * properties on each function would take as long as locking does.
 */
const UnlockPrototype: object = Object.create(Function.prototype, {
  signal: {
    get(this: { [held]: HeldLock }) {
      return this[held].signal
    }
  },
  sync: {
    value(this: { [held]: HeldLock }) {
      this[held].releaseSync()
    }
  },
  [Symbol.asyncDispose]: {
    value(this: { [held]: HeldLock }) {
      return this[held].release()
    }
  },
  [Symbol.dispose]: {
    value(this: { [held]: HeldLock }) {
      this[held].releaseSync()
    }
  }
})

/** The unlock function of a lock that was granted. */
export function unlockFunc(key: number, token: number, reporting: Reporting): UnlockFunc {
  const lock = new HeldLock(key, token, reporting)
  const unlock = (() => lock.release()) as (() => Promise<void>) & Record<string | symbol, unknown>
  unlock['token'] = token
  unlock[held] = lock
  return Object.setPrototypeOf(unlock, UnlockPrototype)
}
