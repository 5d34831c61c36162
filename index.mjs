// `import` comes in here, `require` and bundlers at index.js; it is the same copy. Imported directly,
// Node would first search all of index.js for names to export, which takes longer than running it.

import { createRequire } from 'node:module'

export const { LockError, inspect, openRoot, tryLock, tryRLock, withLock, withLogger } =
  createRequire(import.meta.url)('./index.js')
