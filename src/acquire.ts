import {
  ASK_RECOVER,
  ASK_REPORT,
  ASK_SHARED,
  ASK_TELL,
  ASK_WAIT,
  TOOK_OVER,
  type BindingEvent
} from './binding'
import * as check from './arguments'
import { observe } from './diagnostics'
import { environment, hold, ignore, listen, nextKey, unhold, type Listener } from './environment'
import { lockFile, report, unlockFunc, type Reporting, type UnlockFunc } from './held-lock'
import type { Holder } from './holder'
import { aborted, fromBinding, toHolder, type LockError } from './lock-error'
import { loggerOf, type Logger } from './logger'
import { pathOf, place } from './root'

/** How a lock is taken and kept. */
export interface LockOptions {
  /**
   * Stops the waiting; the promise rejects with `ERR_LOCK_UNSUCCESSFUL` and the signal's reason as
   * its `cause`. Already aborted: nothing is created, opened or recovered.
   */
  signal?: AbortSignal | undefined
  /**
   * `false`: one attempt, then `ERR_LOCK_UNSUCCESSFUL`.
   * @default true
   */
  wait?: boolean | undefined
  /** Where to report to. Without one, and outside of `withLogger`, nothing is ever printed. */
  logger?: Logger | undefined
  /**
   * Name of the lock file in the root: a plain one, without separators, and not one that could be
   * derived from another (`….guard`, `….next`). All who want the same lock use the same name. `.posixage.lock` meets the Go store that this design comes from.
   * @default '.lock'
   */
  fileName?: string | undefined
  /**
   * How often, in milliseconds, the holder's native thread refreshes the lock file's modification
   * time. Minimum: 50.
   * @default 10_000
   */
  heartbeatMs?: number | undefined
  /**
   * Age in milliseconds from which a lock file counts as abandoned. A holder's own, longer one is
   * respected. Minimum: 3 × `heartbeatMs`.
   * @default 30_000
   */
  staleMs?: number | undefined
  /**
   * `false`: never take over a stale lock, wait for the kernel to free it. Use it beside programs
   * that hold the lock file for long without refreshing it, such as flock(1).
   * @default true
   */
  recover?: boolean | undefined
  /** Called once, with the holder if known, when the lock was not free at once. */
  onWait?: ((holder: Holder | undefined) => void) | undefined
}

type OnWait = NonNullable<LockOptions['onWait']>

/** The one way to a lock, shared or exclusive. */
export function acquire(
  root: unknown,
  shared: boolean,
  given: LockOptions | undefined
): Promise<UnlockFunc> {
  try {
    const options = check.options(given)
    const signal = check.signal(options.signal)
    const onWait =
      options.onWait === undefined
        ? undefined
        : check.callback<OnWait>('options.onWait', options.onWait)
    const logger = loggerOf(options.logger)
    const fileName = check.fileName(options.fileName)
    const heartbeatMs = check.heartbeatMs(options.heartbeatMs)
    const staleMs = check.staleMs(options.staleMs, heartbeatMs)
    const key = nextKey()
    const observer = observe(key, shared)
    const ask =
      (shared ? ASK_SHARED : 0) |
      (check.boolean('options.wait', options.wait, check.defaults.wait) ? ASK_WAIT : 0) |
      (check.boolean('options.recover', options.recover, check.defaults.recover)
        ? ASK_RECOVER
        : 0) |
      (onWait || observer ? ASK_TELL : 0) |
      (logger ? ASK_REPORT : 0)
    const where = place(root)
    const reporting: Reporting = {
      root: pathOf(root, where),
      fileName: fileName ?? check.defaults.fileName,
      logger,
      observer
    }
    observer?.at(lockFile(reporting))
    if (signal?.aborted) throw failed(reporting, aborted(reporting.root, signal, undefined))

    const answer = environment.acquire(key, where, fileName, heartbeatMs, staleMs, ask)
    if (typeof answer !== 'number') throw failed(reporting, fromBinding(answer))
    if (answer > 0) {
      observer?.granted(answer)
      return Promise.resolve(unlockFunc(key, answer, reporting))
    }
    return new Promise(
      (resolve, reject) => new Waiting(key, reporting, signal, onWait, resolve, reject)
    )
  } catch (error) {
    return Promise.reject(error)
  }
}

/** Tells those who observe. */
function failed<E>({ observer }: Reporting, error: E): E {
  observer?.failed(error)
  return error
}

/** A request that was not answered at once: settles its promise by the first event that ends it. */
class Waiting implements Listener {
  readonly #key: number
  readonly #reporting: Reporting
  readonly #signal: AbortSignal | undefined
  readonly #onWait: OnWait | undefined
  readonly #resolve: (unlock: UnlockFunc) => void
  readonly #reject: (error: unknown) => void
  /** Why the lock is not wanted any more. It is given back before that is said. */
  #unwanted: ((event: BindingEvent | undefined) => unknown) | undefined

  constructor(
    key: number,
    reporting: Reporting,
    signal: AbortSignal | undefined,
    onWait: OnWait | undefined,
    resolve: (unlock: UnlockFunc) => void,
    reject: (error: unknown) => void
  ) {
    this.#key = key
    this.#reporting = reporting
    this.#signal = signal
    this.#onWait = onWait
    this.#resolve = resolve
    this.#reject = reject
    listen(key, this)
    hold()
    // Not `onabort`, which is the user's; and removed at the end, because one signal serves many calls.
    signal?.addEventListener('abort', this)
  }

  handleEvent(): void {
    this.#cancel((event) => this.#aborted(event))
  }

  #cancel(why: (event: BindingEvent | undefined) => unknown): void {
    this.#unwanted ??= why
    environment.cancel(this.#key)
  }

  #aborted(event: BindingEvent | undefined): LockError {
    return aborted(lockFile(this.#reporting), this.#signal!, event?.error)
  }

  granted(token: number): void {
    if (this.#unwanted) return this.#giveBack(token)
    // The lock listens under the same key from here on.
    this.#end()
    this.#reporting.observer?.granted(token)
    this.#resolve(unlockFunc(this.#key, token, this.#reporting))
  }

  on(event: BindingEvent): void {
    switch (event.kind) {
      case 'log':
        if (event.message === TOOK_OVER) this.#reporting.observer?.takesOver()
        return report(this.#reporting.logger, event)
      case 'waiting':
        return this.#waiting(event)
      case 'failed':
        ignore(this.#key)
        this.#end()
        return this.#rejected(this.#unwanted?.(event) ?? this.#failed(event))
    }
  }

  #waiting(event: BindingEvent): void {
    if (this.#unwanted) return
    const holder = event.holder && toHolder(event.holder)
    this.#reporting.observer?.waits(holder)
    try {
      this.#onWait?.(holder)
    } catch (error) {
      this.#cancel(() => error)
    }
  }

  #failed(event: BindingEvent): LockError {
    return event.error ? fromBinding(event.error) : this.#aborted(event)
  }

  /** The grant and the abort met. */
  #giveBack(token: number): void {
    const reason = this.#unwanted!(undefined)
    const unlock = unlockFunc(this.#key, token, this.#reporting)
    const rejected = () => this.#rejected(reason)
    this.#end()
    unlock().then(rejected, rejected)
  }

  #rejected(reason: unknown): void {
    this.#reject(failed(this.#reporting, reason))
  }

  #end(): void {
    unhold()
    this.#signal?.removeEventListener('abort', this)
  }
}
