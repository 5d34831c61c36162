// This thread's side of the bindings: an object for each, one stream of events, and a reference that keeps
// the event loop alive while a request is pending.

import type * as WorkerThreads from 'node:worker_threads'

import * as binding from './binding'
import type * as Binding from '../binding'
import type { BindingError, BindingEvent } from './binding'
import type { Observer } from './diagnostics'
import { throwLater } from './later'
import { fromBinding, type Engine, type LockError, type LostReason } from './lock-error'

/** Receives the events of a request. */
export interface Listener {
  /** The lock was granted. */
  granted?(token: number): void
  on(event: BindingEvent): void
}

const listeners = new Map<number, Listener>()

/** Most events are grants, so a grant is only two numbers; every other event is an object. */
function dispatch(key: number, token: number, event?: BindingEvent): void {
  const listener = listeners.get(key)
  if (event) listener?.on(event)
  else listener?.granted!(token)
}

/**
 * Opens an environment of a binding: its functions, for this thread. There is one for directories, and one for servers once
 * one is opened; all number their requests together.
 */
export function openEnvironment(of: Omit<typeof Binding, 'VERSION'>, engine: Engine) {
  const number = of.openEnvironment(dispatch)
  return {
    engine,
    acquire: of.acquire.bind(undefined, number),
    blockRelease: of.blockRelease.bind(undefined, number),
    cancel: of.cancel.bind(undefined, number),
    closeRoot: of.closeRoot.bind(undefined, number),
    diagnose: of.diagnose.bind(undefined, number),
    inspect: of.inspect.bind(undefined, number),
    inspectSync: of.inspectSync.bind(undefined, number),
    isWithin: of.isWithin.bind(undefined, number),
    lost: of.lost.bind(undefined, number),
    next: of.next.bind(undefined, number),
    openRoot: of.openRoot.bind(undefined, number),
    openRootSync: of.openRootSync.bind(undefined, number),
    release: of.release.bind(undefined, number)
  }
}

/** The functions of a binding that a request needs. */
export type Environment = ReturnType<typeof openEnvironment>

/** The environment of directories. */
export const directories = openEnvironment(binding, 'directory')

let keys = 0

/** A new number that identifies a request and its lock. */
export function nextKey(): number {
  return ++keys
}

/** Not loaded before it is needed: it brings Node's streams with it, which take longer than all else of the import. */
const threads = () => require('node:worker_threads') as typeof WorkerThreads

/**
 * How long a call blocks before it comes up for air. A worker can be terminated only while JavaScript runs;
 * the main thread is terminated with the process.
 */
const breathMs = () => (threads().isMainThread ? Infinity : 100)

/** Blocks until something happens to a request, and delivers it. */
export function block(environment: Environment, key: number): void {
  const breath = breathMs()
  let event: ReturnType<Environment['next']>
  do event = environment.next(key, breath)
  while (event === null)
  if (typeof event === 'number') dispatch(key, event)
  else dispatch(key, 0, event)
}

/**
 * Releases a lock. Returns whether that is done; if not, the `released` event follows, with any error.
 * If the lock was lost and the caller does not know it, releases nothing and returns the reason.
 *
 * @param blocks whether the event is waited for by `block`
 */
export function release(
  environment: Environment,
  key: number,
  knowsLoss: boolean,
  observer: Observer | undefined,
  blocks: boolean
): boolean | LostReason {
  const released = environment.release(key, knowsLoss, blocks)
  if (released === false || typeof released === 'string') return released
  if (released === true) {
    observer?.released(undefined)
    return true
  }
  if (!Array.isArray(released)) {
    const error = fromBinding(released as BindingError, 'unlock', environment.engine) as LockError
    observer?.released(error)
    throw error
  }
  observer?.released(undefined)
  // The lock went on to the next caller, in this environment too, which has received all earlier events.
  const [next, token] = released
  try {
    dispatch(next!, token!)
  } catch (error) {
    // Not an error of the caller that releases.
    throwLater(error)
  }
  return true
}

/** Delivers the events of a request to a listener until `ignore`. */
export function listen(key: number, listener: Listener): void {
  listeners.set(key, listener)
}

export function ignore(key: number): void {
  listeners.delete(key)
}

let pending = 0
/** Not a timer: tests replace timers with fakes, which keep nothing alive, or keep it alive forever. */
let keepAlive: WorkerThreads.MessageChannel | undefined

/** Keeps the event loop alive for a pending request. Events don't, so that a held lock does not. */
export function ref(): void {
  if (pending++ > 0) return
  keepAlive ??= new (threads().MessageChannel)()
  keepAlive.port1.ref()
}

export function unref(): void {
  if (--pending === 0) keepAlive!.port1.unref()
}

/** Makes a request that ends with one event, and resolves with it; keeps the event loop alive until then. */
export function ask(request: (key: number) => void): Promise<BindingEvent> {
  return new Promise((resolve) => {
    const key = nextKey()
    request(key)
    ref()
    listen(key, {
      on(event) {
        ignore(key)
        unref()
        resolve(event)
      }
    })
  })
}
