// Publishes what happens to locks on `node:diagnostics_channel`. Without subscribers, a lock only
// checks five flags.

import { AsyncResource } from 'node:async_hooks'
import { channel } from 'node:diagnostics_channel'

import type { Holder } from './holder'
import { throwLater } from './later'
import type { LockError, LostReason } from './lock-error'

/** The fields of every message. Times are in milliseconds, with fractions. */
export interface LockMessage {
  /** Identifies the request: the same in all of its messages, and unique in its thread. */
  readonly id: number
  /** The lock file. */
  readonly path: string
  readonly mode: 'exclusive' | 'shared'
}

/** `rootlock:wait`: the lock was not free at once. */
export interface WaitMessage extends LockMessage {
  /** The holder, if it is known. */
  readonly holder: Holder | undefined
}

/** `rootlock:acquire`: the lock was granted. */
export interface AcquireMessage extends LockMessage {
  readonly token: number
  /** From the call to the grant. */
  readonly waitMs: number
  /** The holder that was waited for; `undefined` if the lock was free or the holder is not known. */
  readonly holder: Holder | undefined
  /** Whether the lock was stale and taken over from a holder that had not released it. */
  readonly tookOver: boolean
}

/** `rootlock:fail`: the lock was not granted: aborted, held and `wait: false`, or refused by the system. */
export interface FailMessage extends LockMessage {
  /** From the call to the failure. */
  readonly waitMs: number
  /** The holder that was waited for, if it is known. */
  readonly holder: Holder | undefined
  /** The error that the promise rejects with: a `LockError`, or the one that `onWait` threw. */
  readonly error: unknown
}

/** `rootlock:release`: the lock was unlocked. */
export interface ReleaseMessage extends LockMessage {
  readonly token: number
  /** From the grant to the end of the release. */
  readonly heldMs: number
  /** Only when the release failed. */
  readonly error: LockError | undefined
}

/** `rootlock:lost`: a heartbeat found that the lock is no longer held. */
export interface LostMessage extends LockMessage {
  readonly token: number
  /** From the grant to the discovery of the loss. */
  readonly heldMs: number
  readonly reason: LostReason
}

// Referenced here, because a channel without references is collected, together with its subscribers.
const wait = channel('rootlock:wait')
const acquire = channel('rootlock:acquire')
const fail = channel('rootlock:fail')
const release = channel('rootlock:release')
const lost = channel('rootlock:lost')

/** The request's observer, if there are subscribers now; later subscribers see only later requests. */
export function observe(id: number, shared: boolean): Observer | undefined {
  const heard =
    wait.hasSubscribers ||
    acquire.hasSubscribers ||
    fail.hasSubscribers ||
    release.hasSubscribers ||
    lost.hasSubscribers
  return heard ? new Observer(id, shared) : undefined
}

/** Publishes what happens to one request. */
export class Observer {
  readonly #id: number
  readonly #mode: LockMessage['mode']
  readonly #begun = performance.now()
  /** Subscribers run in the context of the lock's caller: its span, its stores. */
  readonly #context = new AsyncResource('RootlockRequest')
  #path = ''
  #holder: Holder | undefined
  #tookOver = false
  #grant: { token: number; at: number } | undefined

  constructor(id: number, shared: boolean) {
    this.#id = id
    this.#mode = shared ? 'shared' : 'exclusive'
  }

  at(path: string): void {
    this.#path = path
  }

  waits(holder: Holder | undefined): void {
    this.#holder = holder
    this.#publish(wait, { holder })
  }

  takesOver(): void {
    this.#tookOver = true
  }

  granted(token: number): void {
    const at = performance.now()
    this.#grant = { token, at }
    const waitMs = at - this.#begun
    this.#publish(acquire, { token, waitMs, holder: this.#holder, tookOver: this.#tookOver })
  }

  failed(error: unknown): void {
    this.#publish(fail, { waitMs: performance.now() - this.#begun, holder: this.#holder, error })
  }

  released(error: LockError | undefined): void {
    this.#ended(release, { error })
  }

  lost(reason: LostReason): void {
    this.#ended(lost, { reason })
  }

  /** Publishes nothing for a grant that met an abort: its caller never saw it. */
  #ended(on: typeof release, more: object): void {
    if (!this.#grant) return
    const { token, at } = this.#grant
    this.#publish(on, { token, heldMs: performance.now() - at, ...more })
  }

  #publish(on: typeof release, more: object): void {
    if (!on.hasSubscribers) return
    const message = { id: this.#id, path: this.#path, mode: this.#mode, ...more }
    try {
      this.#context.runInAsyncScope(() => on.publish(message))
    } catch (error) {
      // Node itself defers a subscriber's error; not every runtime does.
      throwLater(error)
    }
  }
}
