import { AsyncResource } from 'node:async_hooks'

import {
  ASK_RECOVER,
  ASK_LOGGER,
  ASK_SHARED,
  ASK_NOTIFY,
  ASK_WAIT,
  TOOK_OVER,
  type BindingEvent
} from './binding'
import * as check from './arguments'
import { observe } from './diagnostics'
import { environment, ref, ignore, listen, nextKey, unref, type Listener } from './environment'
import { lockFile, report, unlockFunc, type Reporting, type UnlockFunc } from './held-lock'
import type { Holder } from './holder'
import { throwLater } from './later'
import { aborted, deadlock, fromBinding, toHolder } from './lock-error'
import { loggerOf, type Logger } from './logger'
import { surroundingLocks } from './nesting'
import { pathOf, place, type Place } from './root'
import { onAbort } from './signals'

/** How a lock is acquired and held. */
export interface LockOptions {
  /**
   * Ends the wait. The promise then rejects with `ERR_LOCK_UNSUCCESSFUL`, with the signal's reason as
   * its `cause`, once nothing is locked any more; even if the lock was free, when the signal aborts in the
   * turn of the call. If it is aborted already, nothing is created, opened or recovered.
   */
  signal?: AbortSignal | undefined
  /**
   * Whether to wait for a held lock. `false` makes one attempt, then rejects with `ERR_LOCK_UNSUCCESSFUL`.
   * @default true
   */
  wait?: boolean | undefined
  /** Receives warnings and errors. Without a logger, and outside of `withLogger`, nothing is ever printed. */
  logger?: Logger | undefined
  /**
   * The lock file's name in the root: a plain one, without separators, and not one that could be
   * derived from another (`….guard`, `….next`). All programs that share a lock must use the same name.
   * `.posixage.lock` is the one of the Go store that this design comes from.
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
   * The age in milliseconds from which a lock file counts as abandoned. If the holder's own `staleMs` is
   * longer, it applies instead. Minimum: 3 × `heartbeatMs`.
   * @default 30_000
   */
  staleMs?: number | undefined
  /**
   * Whether to take over a stale lock. `false` waits for the kernel to free it; use that beside programs
   * that hold the lock file for long without refreshing it, such as flock(1).
   * @default true
   */
  recover?: boolean | undefined
  /**
   * Called once, before the grant, if the lock was not free at once; with the holder, if it is known, and
   * in the asynchronous context of the call. An error that it throws ends the wait and rejects the promise.
   */
  onWait?: ((holder: Holder | undefined) => void) | undefined
}

type OnWait = NonNullable<LockOptions['onWait']>

/**
 * A request whose options are read and checked. Reading them may run the caller's code (getters, polyfills,
 * proxies); all of it has run before the binding is called, so an error that it throws leaves nothing behind.
 */
export interface Request {
  readonly key: number
  readonly where: Place
  readonly fileName: string | undefined
  readonly shared: boolean
  readonly heartbeatMs: number
  readonly staleMs: number
  readonly ask: number
  readonly signal: AbortSignal | undefined
  readonly onWait: OnWait | undefined
  readonly reporting: Reporting
}

/** The one way to a lock, shared or exclusive. */
export function acquire(
  root: unknown,
  shared: boolean,
  given: LockOptions | undefined
): Promise<UnlockFunc> {
  try {
    return take(read(root, shared, given))
  } catch (error) {
    return Promise.reject(error)
  }
}

export function read(root: unknown, shared: boolean, given: LockOptions | undefined): Request {
  const options = check.options(given)
  const signal = check.signal(options.signal)
  const { onWait: givenOnWait } = options
  const onWait =
    givenOnWait === undefined ? undefined : check.callback<OnWait>('options.onWait', givenOnWait)
  const logger = loggerOf(options.logger)
  const fileName = check.fileName(options.fileName)
  const { heartbeatMs, staleMs } = check.terms(options.heartbeatMs, options.staleMs)
  const wait = check.boolean('options.wait', options.wait, check.defaults.wait)
  const recover = check.boolean('options.recover', options.recover, check.defaults.recover)
  const where = place(root)
  const key = nextKey()
  const observer = observe(key, shared)
  const reporting: Reporting = {
    root: pathOf(root, where),
    fileName: fileName ?? check.defaults.fileName,
    logger,
    observer,
    // The logger and `onWait` run in the caller's context: its span, its stores.
    context: logger || onWait ? new AsyncResource('RootlockRequest') : undefined
  }
  observer?.at(lockFile(reporting))
  const ask =
    (shared ? ASK_SHARED : 0) |
    (wait ? ASK_WAIT : 0) |
    (recover ? ASK_RECOVER : 0) |
    (onWait || observer ? ASK_NOTIFY : 0) |
    (logger ? ASK_LOGGER : 0)
  return {
    key,
    where,
    fileName,
    shared,
    heartbeatMs,
    staleMs,
    ask,
    signal,
    onWait,
    reporting
  }
}

/** Asks the binding for the lock. The caller rejects the promise with an error that this throws. */
export function take(request: Request): Promise<UnlockFunc> {
  const { key, where, fileName, heartbeatMs, staleMs, ask, signal, reporting } = request
  if (signal?.aborted) throw failed(reporting, aborted(reporting.root, signal, undefined))
  const answer = environment.acquire(
    key,
    where.root,
    where.path,
    fileName,
    heartbeatMs,
    staleMs,
    ask
  )
  if (typeof answer !== 'number') throw failed(reporting, fromBinding(answer, 'lock'))
  if (answer === 0) return new Promise((resolve, reject) => new Waiting(request, resolve, reject))
  return Promise.resolve(granted(request, answer))
}

/** Makes the promise's value. From here on the lock listens under the request's key. */
function granted(request: Request, token: number): UnlockFunc | Promise<UnlockFunc> {
  const { key, signal, reporting } = request
  const unlock = unlockFunc(key, token, reporting)
  if (signal) return unlessAborted(request, unlock)
  reporting.observer?.granted(token)
  return unlock
}

/** Grants a lock that was free or just handed over, unless its caller aborts in the turn of the call. */
async function unlessAborted(request: Request, unlock: UnlockFunc): Promise<UnlockFunc> {
  await undefined
  try {
    throwIfAborted(request)
  } catch (error) {
    // The lock is released before the promise rejects.
    await unlock().catch(() => {})
    throw failed(request.reporting, error)
  }
  request.reporting.observer?.granted(unlock.token)
  return unlock
}

export function throwIfAborted({ signal, reporting }: Request): void {
  if (signal?.aborted) throw aborted(lockFile(reporting), signal, undefined)
}

/** Publishes a failure and returns it. */
function failed<E>({ observer }: Reporting, error: E): E {
  observer?.failed(error)
  return error
}

/** A request that was not answered at once: settles its promise by the first event that ends it. */
class Waiting implements Listener {
  readonly #request: Request
  readonly #resolve: (unlock: UnlockFunc | Promise<UnlockFunc>) => void
  readonly #reject: (error: unknown) => void
  /** Why the request was withdrawn, once it was. A lock is released before the promise rejects. */
  #unwanted: ((event: BindingEvent | undefined) => unknown) | undefined
  #deaf: (() => void) | undefined

  constructor(
    request: Request,
    resolve: (unlock: UnlockFunc | Promise<UnlockFunc>) => void,
    reject: (error: unknown) => void
  ) {
    this.#request = request
    this.#resolve = resolve
    this.#reject = reject
    listen(request.key, this)
    ref()
    // From here on the binding has a request: any error withdraws it.
    try {
      this.#begin(request)
    } catch (error) {
      this.#cancel(() => error)
    }
  }

  #begin({ key, ask, signal }: Request): void {
    const outer = (ask & ASK_WAIT) === 0 ? [] : surroundingLocks()
    if (outer.length > 0 && environment.isWithin(key, outer)) return this.#waitsForItself()
    if (!signal) return
    const abort = () => this.#cancel((event) => this.#aborted(event))
    this.#deaf = onAbort(signal, abort)
    if (signal.aborted) abort()
  }

  #waitsForItself(): void {
    this.#cancel(() => deadlock(lockFile(this.#request.reporting)))
  }

  #cancel(why: (event: BindingEvent | undefined) => unknown): void {
    this.#unwanted ??= why
    environment.cancel(this.#request.key)
  }

  #aborted(event: BindingEvent | undefined): unknown {
    const { signal, reporting } = this.#request
    try {
      return aborted(lockFile(reporting), signal!, event?.error)
    } catch (error) {
      // The signal's `reason` is a getter that throws.
      return error
    }
  }

  granted(token: number): void {
    if (this.#unwanted) return this.#giveBack(token)
    this.#end()
    this.#resolve(granted(this.#request, token))
  }

  on(event: BindingEvent): void {
    const { key, reporting } = this.#request
    switch (event.kind) {
      case 'log':
        if (event.message === TOOK_OVER) reporting.observer?.takesOver()
        return report(reporting, event)
      case 'waiting':
        return this.#waiting(event)
      case 'deadlock':
        return this.#waitsForItself()
      case 'failed':
        ignore(key)
        this.#end()
        return this.#rejected(this.#unwanted ? this.#unwanted(event) : this.#failed(event))
    }
  }

  #waiting(event: BindingEvent): void {
    if (this.#unwanted) return
    const { onWait, reporting } = this.#request
    const holder = event.holder && toHolder(event.holder)
    reporting.observer?.waits(holder)
    if (!onWait) return
    try {
      reporting.context!.runInAsyncScope(onWait, undefined, holder)
    } catch (error) {
      this.#cancel(() => error)
    }
  }

  #failed(event: BindingEvent): unknown {
    return event.error ? fromBinding(event.error, 'lock') : this.#aborted(event)
  }

  /** The grant and the abort met. */
  #giveBack(token: number): void {
    const { key, reporting } = this.#request
    const reason = this.#unwanted!(undefined)
    const unlock = unlockFunc(key, token, reporting)
    const rejected = () => this.#rejected(reason)
    this.#end()
    unlock().then(rejected, rejected)
  }

  #rejected(reason: unknown): void {
    this.#reject(failed(this.#request.reporting, reason))
  }

  #end(): void {
    unref()
    try {
      this.#deaf?.()
    } catch (error) {
      throwLater(error)
    }
  }
}
