import path from 'node:path'

import type { Acquire, Adapter } from '../adapter.js'
import { installedVersion, require } from './package.js'

type Callback = (error?: Error | null) => void
interface Lockfile {
  lock(path: string, options: object, callback: Callback): void
  unlock(path: string, callback: Callback): void
}

const anHour = 3_600_000

export const lockfile: Adapter = {
  name: 'lockfile',
  how: '`lock(file, { wait: 1 h, pollPeriod: 10, stale: 10 s })`: it polls at a fixed period, by default 100 ms',
  module: 'lockfile',
  excludesWithinProcess: true,
  abortable: false,
  version: () => installedVersion('lockfile'),
  async load(): Promise<Acquire> {
    const { lock, unlock } = require('lockfile') as Lockfile
    return (root) =>
      new Promise((resolve, reject) => {
        const file = path.join(root, '.lock')
        const release = () => new Promise<void>((done) => unlock(file, () => done()))
        // The options are written to by the library, so every call gets its own.
        lock(file, { wait: anHour, pollPeriod: 10, stale: 10_000 }, (error) =>
          error ? reject(error) : resolve(release)
        )
      })
  }
}
