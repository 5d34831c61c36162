/** Releases the lock; the promise, if there is one, resolves when it is free. */
export type Release = () => void | Promise<void>

/**
 * Takes the exclusive lock of the directory `root`, waiting for it.
 * A peer whose own calls are synchronous may return without a promise, so that it isn't charged for one.
 */
export interface Acquire {
  (root: string, signal?: AbortSignal): Release | Promise<Release>
  /** Takes the shared lock, where there is one. */
  readonly shared?: Acquire
}

/** One contender: how a sensible user of that package would lock a directory with it. */
export interface Adapter {
  readonly name: string
  /** One sentence for the reader of the results: which calls, which settings. */
  readonly how: string
  /** The module to import. */
  readonly module?: string
  /** Another way to use an adapter that is already listed; takes part in the free lock only. */
  readonly variant?: boolean
  /** A contender that bars or readers compare with: takes part in the quick mode, and in all rounds of the full one. */
  readonly daily?: boolean
  /** `false`: two callers of one process both acquire the lock. */
  readonly excludesWithinProcess: boolean
  /** Whether a pending wait can be ended from outside. */
  readonly abortable: boolean
  /** Whether there is a shared lock. */
  readonly shares?: boolean
  /** Every lock is a process of its own, so thousands of them are out of the question. */
  readonly processPerLock?: boolean
  version(): string
  /** Loads the package; throws if it isn't there or wasn't built. */
  load(): Promise<Acquire>
}
