import type { ExecutionContext } from 'ava'
import { tryLock, type LockOptions, type Root, type UnlockFunc } from 'rootlock'

import { inTime } from './eventually.mjs'

/** Short terms for tests of takeovers, with room for the delays of a busy machine. */
export const QUICK = { heartbeatMs: 200, staleMs: 1_000 }

/** A request for a lock, which ends with the test. */
export interface Waiter {
  readonly lock: Promise<UnlockFunc>
  abort(reason?: unknown): void
}

/** Asks for a lock; when the test ends, aborts the wait or releases the lock. */
export function waiter(
  t: ExecutionContext,
  root: string | URL | Root,
  options: Omit<LockOptions, 'signal'> = {},
  take = tryLock
): Waiter {
  const controller = new AbortController()
  const lock = take(root, { ...options, signal: controller.signal })
  lock.catch(() => {})
  t.teardown(async () => {
    controller.abort()
    await lock.then(
      (unlock) => unlock(),
      () => {}
    )
  })
  return { lock, abort: (reason) => controller.abort(reason) }
}

/** Holds a lock until it is unlocked or the test ends. */
export function hold(
  t: ExecutionContext,
  root: string | URL | Root,
  options: Omit<LockOptions, 'signal'> = {},
  take = tryLock
): Promise<UnlockFunc> {
  return inTime('the lock is granted', waiter(t, root, options, take).lock)
}
