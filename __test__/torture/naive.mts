// A lock as it is often written: a file that exists or not, a timer that touches it, and removal by
// anyone who finds it old. It is here to be caught; see "R1" and "R2" in docs/protocol.md.

import { closeSync, openSync, statSync, unlinkSync, utimesSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'

import type { Ask, Design, Held } from './design.mjs'

const POLL = 5

const refusal = (cause?: unknown) =>
  Object.assign(new Error('store is locked', { cause }), { code: 'ERR_LOCK_UNSUCCESSFUL' })

/** The wall clock, precisely enough to tell any two grants apart. */
const micros = () => Math.round((performance.timeOrigin + performance.now()) * 1_000)

/** Creates the file if it is missing. */
function make(file: string): boolean {
  try {
    closeSync(openSync(file, 'wx'))
    return true
  } catch {
    return false
  }
}

async function take(file: string, { wait, signal, heartbeatMs, staleMs }: Ask): Promise<Held> {
  while (!make(file)) {
    try {
      if (Date.now() - statSync(file).mtimeMs > staleMs) {
        // It may be anybody's file by now.
        await pause(0)
        unlinkSync(file)
      }
    } catch {
      continue
    }
    if (!wait) throw refusal()
    await pause(POLL, undefined, { signal }).catch(() => {
      throw refusal(signal.reason)
    })
  }
  const touch = () => utimesSync(file, new Date(), new Date())
  const timer = setInterval(() => {
    try {
      touch()
    } catch {
      // Somebody removed it; the design does not ask why.
    }
  }, heartbeatMs)
  const unlock = async () => {
    clearInterval(timer)
    try {
      unlinkSync(file)
    } catch {
      // As above.
    }
  }
  const { signal: never } = new AbortController()
  return Object.assign(unlock, { token: micros(), signal: never })
}

export const naive: Design = {
  open: async (path) => (ask) => take(join(path, '.lock'), ask)
}
