import { existsSync, writeFileSync } from 'node:fs'

import type { Clock } from './stage.mjs'

const LIBRARIES = [
  '/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1',
  '/usr/lib/aarch64-linux-gnu/faketime/libfaketimeMT.so.1',
  '/usr/lib/faketime/libfaketimeMT.so.1'
]

const library = LIBRARIES.find((path) => existsSync(path))

/** Why clocks can't be set here, if they can't. */
export const noClocks = library === undefined ? 'the library of faketime' : undefined

/**
 * A wall clock for the processes of a round, which the driver can set. The monotonic clocks stay as they are: nobody
 * can set these. File times come from the file system, which uses the system's own clock.
 */
export class WallClock implements Clock {
  readonly name = 'faketime'
  readonly #path: string

  constructor(path: string) {
    this.#path = path
    this.step(0)
  }

  step(seconds: number): void {
    writeFileSync(this.#path, `${seconds < 0 ? '' : '+'}${seconds}\n`)
  }

  environment(): Record<string, string> {
    return {
      LD_PRELOAD: library!,
      FAKETIME_TIMESTAMP_FILE: this.#path,
      FAKETIME_CACHE_DURATION: '0',
      FAKETIME_NO_CACHE: '1',
      FAKETIME_DONT_FAKE_MONOTONIC: '1',
      DONT_FAKE_MONOTONIC: '1',
      NO_FAKE_STAT: '1'
    }
  }
}
