// What index.mjs is, for bundlers: they follow only what is imported directly, and search quickly.

export { LockError, inspect, openRoot, tryLock, tryRLock, withLock, withLogger } from './index.js'
