import { closeSync, fstatSync, ftruncateSync, openSync, statSync } from 'node:fs'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

import type { Acquire, Adapter } from '../adapter.js'
import type { FsExt } from './fs-ext.js'
import { installedVersion, require } from './package.js'

const first = 10
const longest = 100
const growth = 1.5
const heartbeat = 10_000

/**
 * The algorithm that rootlock's design comes from (Docker's Go package flock), written down again in JavaScript:
 * one non-blocking try, then polls with a growing, jittered pause. The stale recovery is left out: nothing goes stale here.
 */
export const seed: Adapter = {
  name: 'seed (10→100 ms poll)',
  how: 'open, non-blocking `flock` (of fs-ext), identity check, `ftruncate(0)`; refused: again after 10→100 ms ± 50 %',
  excludesWithinProcess: true,
  abortable: true,
  version: () => `on fs-ext ${installedVersion('fs-ext')}`,
  async load(): Promise<Acquire> {
    const { flockSync } = require('fs-ext') as FsExt

    function attempt(file: string): number | undefined {
      const fd = openSync(file, 'a+')
      try {
        flockSync(fd, 'exnb')
        if (fstatSync(fd).ino === statSync(file).ino) {
          ftruncateSync(fd, 0)
          return fd
        }
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error
      }
      closeSync(fd)
      return undefined
    }

    return async (root, signal) => {
      const file = path.join(root, '.lock')
      let fd = attempt(file)
      for (let pause = first; fd === undefined; pause = Math.min(longest, pause * growth)) {
        await sleep(pause * (0.5 + Math.random()), undefined, { signal })
        fd = attempt(file)
      }
      const held = fd
      const beat = setInterval(() => ftruncateSync(held, 0), heartbeat).unref()
      return () => {
        clearInterval(beat)
        flockSync(held, 'un')
        closeSync(held)
      }
    }
  }
}
