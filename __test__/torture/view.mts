/** What an actor can see of what it locks, beside what the lock tells it. */
export interface View {
  /** Whether an error says that it can't be reached at the moment. */
  isAway(error: unknown): boolean
  /** Whether a request is refused then, instead of failing. */
  readonly refusesWhileAway: boolean
  /** The file of the lock that was just granted, if there is one and it can be told. */
  lockFile(root: string): LockFile | undefined
  /** Whether a holder can see that it was preempted only by the store, which turns it away. */
  readonly onlyTheStoreTells: boolean
  /** How long a holder that sees that it was preempted waits to be notified: longer than that may take. */
  readonly toBeTold: number
  /** Blocks the event loop: for so long, or until a look at the signal finds that the lock was lost. */
  block(ms: number, signal: AbortSignal): void
}

export interface LockFile {
  readonly number: number
  /** When it was last refreshed, on the monotonic clock, if this process still has it open. */
  stamped(): number | undefined
  /** Whether another file has its name by now. */
  wasReplaced(): boolean
}

const nobody = new Int32Array(new SharedArrayBuffer(4))

/** Blocks this thread. */
export function sleep(ms: number): void {
  Atomics.wait(nobody, 0, 0, ms)
}
