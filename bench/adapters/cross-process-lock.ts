import path from 'node:path'
import { existsSync, writeFileSync } from 'node:fs'

import type { Acquire, Adapter, Release } from '../adapter.js'
import { installedVersion, require } from './package.js'

interface CrossProcessLock {
  lock(path: string, options: { waitTimeout: number }): Promise<Release>
}

const anHour = 3_600_000

export const crossProcessLock: Adapter = {
  name: 'cross-process-lock',
  how: '`lock(file, { waitTimeout: 1 h })`; it polls every 500 ms, fixed. Its `unlock` fails when another process has removed its lock: ignored here',
  module: 'cross-process-lock',
  excludesWithinProcess: false,
  abortable: false,
  version: () => installedVersion('cross-process-lock'),
  async load(): Promise<Acquire> {
    const { lock } = require('cross-process-lock') as CrossProcessLock
    return async (root) => {
      // It locks a file that must exist, with a second one beside it.
      const file = path.join(root, 'data')
      if (!existsSync(file)) writeFileSync(file, '')
      const unlock = await lock(file, { waitTimeout: anHour })
      return async () => {
        try {
          await unlock()
        } catch (error) {
          if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
        }
      }
    }
  }
}
