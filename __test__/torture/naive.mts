// A lock as it is often written: a file that is there or not, a timer that touches it, and who finds
// it old removes it. It is here to be caught; see "R1" and "R2" in docs/protocol.md.

import { closeSync, openSync, statSync, unlinkSync, utimesSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'

import type { Ask, Design, Held } from './design.mjs'

const POLL = 5

const refusal = (cause?: unknown) =>
  Object.assign(new Error('store is locked', { cause }), { code: 'ERR_LOCK_UNSUCCESSFUL' })

/** The wall clock, finely enough that no two grants of one moment are alike. */
const micros = () => Math.round((performance.timeOrigin + performance.now()) * 1_000)

/** Makes the file, if it is not there. */
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
        // Whose file it is by now nobody knows.
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
