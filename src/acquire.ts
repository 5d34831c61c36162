import { AsyncResource } from 'node:async_hooks'

import {
  ASK_BLOCK,
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
import { block, ref, ignore, listen, nextKey, unref, type Listener } from './environment'
import { lockFile, report, unlockFunc, type Reporting, type UnlockFunc } from './held-lock'
import type { Holder } from './holder'
import { throwLater } from './later'
import { aborted, deadlock, fromBinding, toHolder, unanswered } from './lock-error'
import { loggerOf, type Logger } from './logger'
import { surroundingLocks } from './nesting'
import { placeOf, type LockPlace } from './root'
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
   * How long to wait for a held lock, in milliseconds. Then the promise rejects with
   * `ERR_LOCK_UNSUCCESSFUL`, the reason `held`, and the holder if it is known, as with `wait: false`; one
   * attempt is made in any case, and 0 makes no other. Storage that does not answer has a second longer.
   * @default Infinity
   */
  timeoutMs?: number | undefined
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

/** How a lock is acquired by a call that blocks, and held. */
export interface SyncLockOptions extends Omit<LockOptions, 'wait'> {
  /**
   * How long to wait for a held lock, in milliseconds; nothing else runs in this thread meanwhile, not even
   * the listeners of signals such as SIGINT. 0 makes one attempt. With `Infinity`, only the grant ends
   * the wait, or the end of the process or worker. One attempt is made in any case.
   * @default 0
   */
  timeoutMs?: number | undefined
  /**
   * If it is aborted already, the call throws, and nothing is created, opened or recovered. It can't abort
   * while the call blocks, except in `onWait`: limit the wait by `timeoutMs`.
   */
  signal?: AbortSignal | undefined
}

type OnWait = NonNullable<LockOptions['onWait']>

/**
 * A request whose options are read and checked. Reading them may run the caller's code (getters, polyfills,
 * proxies); all of it has run before the binding is called, so an error that it throws leaves nothing behind.
 */
export interface Request {
  readonly key: number
  readonly place: LockPlace
  readonly shared: boolean
  readonly heartbeatMs: number
  readonly staleMs: number
  readonly limitMs: number
  readonly ask: number
  readonly signal: AbortSignal | undefined
  readonly onWait: OnWait | undefined
  readonly reporting: Reporting
}

/** Which options belong to other functions, and what to use instead. */
const elsewhere = { shared: "'tryRLock'" }
const elsewhereSync = { shared: "'tryRLockSync'", wait: "'options.timeoutMs'" }

/** The one way to a lock, shared or exclusive. */
export function acquire(
  root: unknown,
  shared: boolean,
  given: LockOptions | undefined
): Promise<UnlockFunc> {
  try {
    return take(read(root, shared, check.options(given, elsewhere)))
  } catch (error) {
    return Promise.reject(error)
  }
}

/** The same, by a call that blocks. */
export function acquireSync(
  root: unknown,
  shared: boolean,
  given: SyncLockOptions | undefined
): UnlockFunc {
  const options = check.options(given, elsewhereSync)
  const limitMs = check.timeout(options.timeoutMs, 0)
  const request = read(root, shared, options, limitMs)
  const token = begin(request)
  return token === 0 ? blocked(request) : granted(request, token)
}

/** @param blockMs how long the call blocks at most, if it does */
export function read(
  root: unknown,
  shared: boolean,
  options: LockOptions,
  blockMs?: number
): Request {
  const signal = check.signal(options.signal)
  const { onWait: givenOnWait } = options
  const onWait =
    givenOnWait === undefined ? undefined : check.callback<OnWait>('options.onWait', givenOnWait)
  const logger = loggerOf(options.logger)
  const { heartbeatMs, staleMs } = check.terms(options.heartbeatMs, options.staleMs)
  const limitMs = blockMs ?? limit(options)
  const recover = check.boolean('options.recover', options.recover, check.defaults.recover)
  const place = placeOf(root, options.fileName)
  const key = nextKey()
  const observer = observe(key, shared)
  const reporting: Reporting = {
    environment: place.environment,
    root: place.shown,
    fileName: place.fileName,
    logger,
    observer,
    // The logger and `onWait` run in the caller's context: its span, its stores.
    context: logger || onWait ? new AsyncResource('RootlockRequest') : undefined
  }
  observer?.at(lockFile(reporting))
  const ask =
    (shared ? ASK_SHARED : 0) |
    (limitMs > 0 ? ASK_WAIT : 0) |
    (blockMs === undefined ? 0 : ASK_BLOCK) |
    (recover ? ASK_RECOVER : 0) |
    (onWait || observer ? ASK_NOTIFY : 0) |
    (logger ? ASK_LOGGER : 0)
  return {
    key,
    place,
    shared,
    heartbeatMs,
    staleMs,
    limitMs,
    ask,
    signal,
    onWait,
    reporting
  }
}

function limit(options: LockOptions): number {
  const limitMs = check.timeout(options.timeoutMs, Infinity)
  if (check.boolean('options.wait', options.wait, check.defaults.wait)) return limitMs
  if (options.timeoutMs !== undefined && limitMs > 0) {
    throw check.outOfRange('options.timeoutMs', '0, or not given, beside wait: false', limitMs)
  }
  return 0
}

/** Asks the binding for the lock: the token, or 0 if events tell. */
function begin(request: Request): number {
  const { key, place, heartbeatMs, staleMs, limitMs, signal, reporting } = request
  if (signal?.aborted) throw failed(reporting, aborted(reporting.root, signal, undefined))
  const answer = place.environment.acquire(
    key,
    place.root,
    place.path,
    // The binding knows the default, and a string takes time to cross the border.
    place.fileName === check.defaults.fileName ? undefined : place.fileName,
    heartbeatMs,
    staleMs,
    limitMs,
    request.ask
  )
  if (typeof answer !== 'number')
    throw failed(reporting, fromBinding(answer, 'lock', place.environment.engine))
  return answer
}

/** Asks for the lock. The caller rejects the promise with an error that this throws. */
export function take(request: Request): Promise<UnlockFunc> {
  const token = begin(request)
  if (token === 0) return new Promise((resolve, reject) => new Waiting(request, resolve, reject))
  return Promise.resolve(request.signal ? unlessAborted(request, token) : granted(request, token))
}

/** Blocks until the request is settled. */
function blocked(request: Request): UnlockFunc {
  let settle: () => UnlockFunc
  const waiting = new Waiting(
    request,
    (unlock) => (settle = () => unlock as UnlockFunc),
    (error) => {
      settle = () => {
        throw error
      }
    }
  )
  while (!waiting.hasEnded) block(request.place.environment, request.key)
  return settle!()
}

const blocks = ({ ask }: Request): boolean => (ask & ASK_BLOCK) !== 0

/** Makes the promise's value. From here on the lock listens under the request's key. */
function granted({ key, reporting }: Request, token: number): UnlockFunc {
  const unlock = unlockFunc(key, token, reporting)
  reporting.observer?.granted(token)
  return unlock
}

/** Grants a lock that was free or just handed over, unless its caller aborts in the turn of the call. */
async function unlessAborted(request: Request, token: number): Promise<UnlockFunc> {
  const unlock = unlockFunc(request.key, token, request.reporting)
  await undefined
  try {
    throwIfAborted(request)
  } catch (error) {
    // The lock is released before the promise rejects.
    await unlock().catch(() => {})
    throw failed(request.reporting, error)
  }
  request.reporting.observer?.granted(token)
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
  hasEnded = false

  constructor(
    request: Request,
    resolve: (unlock: UnlockFunc | Promise<UnlockFunc>) => void,
    reject: (error: unknown) => void
  ) {
    this.#request = request
    this.#resolve = resolve
    this.#reject = reject
    listen(request.key, this)
    if (!blocks(request)) ref()
    // From here on the binding has a request: any error withdraws it.
    try {
      this.#begin(request)
    } catch (error) {
      this.#cancel(() => error)
    }
  }

  #begin({ key, place, ask, signal }: Request): void {
    const outer = (ask & ASK_WAIT) === 0 ? [] : surroundingLocks()
    if (outer.length > 0 && place.environment.isWithin(key, outer)) return this.#waitsForItself()
    if (!signal) return
    const abort = () => this.#cancel((event) => this.#aborted(event))
    this.#deaf = onAbort(signal, abort)
    if (signal.aborted) abort()
  }

  #waitsForItself(): void {
    this.#cancel(() => deadlock(lockFile(this.#request.reporting), false))
  }

  #cancel(why: (event: BindingEvent | undefined) => unknown): void {
    this.#unwanted ??= why
    this.#request.place.environment.cancel(this.#request.key)
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
    const request = this.#request
    const mayAbort = request.signal && !blocks(request)
    this.#resolve(mayAbort ? unlessAborted(request, token) : granted(request, token))
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
        return this.#cancel(() => deadlock(lockFile(reporting), blocks(this.#request)))
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
    const { place, reporting } = this.#request
    if (event.error) return fromBinding(event.error, 'lock', place.environment.engine)
    return unanswered(lockFile(reporting), place.environment.engine)
  }

  /** The grant and the abort met. */
  #giveBack(token: number): void {
    const { key, reporting } = this.#request
    const reason = this.#unwanted!(undefined)
    const unlock = unlockFunc(key, token, reporting)
    const rejected = () => this.#rejected(reason)
    this.#end()
    if (!blocks(this.#request)) return void unlock().then(rejected, rejected)
    try {
      unlock.sync()
    } catch {
      // What the caller is told matters more.
    }
    rejected()
  }

  #rejected(reason: unknown): void {
    this.#reject(failed(this.#request.reporting, reason))
  }

  #end(): void {
    this.hasEnded = true
    if (!blocks(this.#request)) unref()
    try {
      this.#deaf?.()
    } catch (error) {
      throwLater(error)
    }
  }
}
