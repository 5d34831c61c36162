import { closeSync, openSync } from 'node:fs'
import path from 'node:path'

import type { Acquire, Adapter } from '../adapter.js'
import { installedVersion, require } from './package.js'

interface OsLock {
  lock(fd: number, options: { exclusive: boolean }): Promise<void>
  unlock(fd: number): Promise<void>
}

export const osLock: Adapter = {
  name: 'os-lock',
  how: "open, `lock(fd, { exclusive: true })` (a process-wide `fcntl` lock, blocking in libuv's pool), `unlock(fd)`, close",
  module: 'os-lock',
  excludesWithinProcess: false,
  abortable: false,
  version: () => installedVersion('os-lock'),
  async load(): Promise<Acquire> {
    const { lock, unlock } = require('os-lock') as OsLock
    return async (root) => {
      const fd = openSync(path.join(root, '.lock'), 'a+')
      await lock(fd, { exclusive: true })
      return async () => {
        await unlock(fd)
        closeSync(fd)
      }
    }
  }
}
