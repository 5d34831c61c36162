/**
 * Throws in a later tick. An error of a logger or a subscriber becomes an uncaught exception of its
 * own, and does not leave a lock half done.
 */
export function throwLater(error: unknown): void {
  process.nextTick(() => {
    throw error
  })
}
