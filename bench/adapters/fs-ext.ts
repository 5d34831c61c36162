import { closeSync, openSync } from 'node:fs'
import path from 'node:path'

import type { Acquire, Adapter, Release } from '../adapter.js'
import { installedVersion, require } from './package.js'

export interface FsExt {
  flock(fd: number, flags: 'ex' | 'sh' | 'un', callback: (error: Error | null) => void): void
  flockSync(fd: number, flags: 'exnb' | 'un'): void
}

/** A blocking `flock(2)` in libuv's thread pool: the kernel's own queue, and the yardstick for latency. */
export const fsExt: Adapter = {
  name: 'fs-ext',
  how: 'open, `flock(fd, "ex")` blocking in libuv\'s pool of four threads, `flockSync(fd, "un")`, close',
  module: 'fs-ext',
  daily: true,
  excludesWithinProcess: true,
  abortable: false,
  shares: true,
  version: () => installedVersion('fs-ext'),
  async load(): Promise<Acquire> {
    const { flock, flockSync } = require('fs-ext') as FsExt
    const take = (flags: 'ex' | 'sh') => (root: string) =>
      new Promise<Release>((resolve, reject) => {
        const fd = openSync(path.join(root, '.lock'), 'a+')
        // Synchronous, or it would queue behind the waits in the pool and never run.
        const release = () => {
          flockSync(fd, 'un')
          closeSync(fd)
        }
        flock(fd, flags, (error) => {
          if (!error) return resolve(release)
          closeSync(fd)
          reject(error)
        })
      })
    return Object.assign(take('ex'), { shared: take('sh') })
  }
}
