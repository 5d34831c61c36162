import { openRoot, tryLock, tryRLock } from 'rootlock'

import type { Design } from './design.mjs'

export const rootlock: Design = {
  async open(path, handle) {
    const root = handle ? await openRoot(path) : path
    return ({ shared, say, ...options }) =>
      (shared ? tryRLock : tryLock)(root, { ...options, logger: { warn: say, error: say } })
  }
}
