import { sleep, type View } from './view.mjs'

/** How often a holder with a blocked event loop looks whether it still holds the lock. */
const LOOK = 20

export const serverView: View = {
  isAway: (error) => (error as { reason?: string }).reason === 'system',
  refusesWhileAway: true,
  lockFile: () => undefined,
  onlyTheStoreTells: true,
  toBeTold: 4_000,
  // Its leases are so long that what it believes meanwhile would excuse everything.
  block(ms, signal) {
    const until = performance.now() + ms
    for (let left = ms; left > 0 && !signal.aborted; left = until - performance.now()) {
      sleep(Math.min(LOOK, left))
    }
  }
}
