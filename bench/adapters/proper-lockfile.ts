import type { Acquire, Adapter, Release } from '../adapter.js'
import { installedVersion, require } from './package.js'

interface ProperLockfile {
  lock(path: string, options: object): Promise<Release>
}

// Without `retries` it doesn't wait at all; its default back-off starts at a second. These are the Go package's times.
const options = {
  retries: { forever: true, minTimeout: 10, maxTimeout: 100, factor: 1.5, randomize: true }
}

export const properLockfile: Adapter = {
  name: 'proper-lockfile',
  how: '`lock(root)`, retries forever, 10→100 ms apart; `stale` at its default of 10 s',
  module: 'proper-lockfile',
  excludesWithinProcess: true,
  abortable: false,
  version: () => installedVersion('proper-lockfile'),
  async load(): Promise<Acquire> {
    const { lock } = require('proper-lockfile') as ProperLockfile
    return (root) => lock(root, options)
  }
}
