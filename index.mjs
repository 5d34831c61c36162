// `import` comes in here, `require` at index.js; it is the same copy. If that were imported directly,
// Node would first search all of it for names to export, which takes longer than running it.

import { createRequire } from 'node:module'

export const {
  LockError,
  file,
  inspect,
  inspectSync,
  openRoot,
  openRootSync,
  tryLock,
  tryLockSync,
  tryRLock,
  tryRLockSync,
  withLock,
  withLogger
} = createRequire(import.meta.url)('./index.js')
