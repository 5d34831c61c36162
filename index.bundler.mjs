// What index.mjs is, for bundlers: they follow only what is imported directly, and search quickly.

export {
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
} from './index.js'
