// A lock that everybody has at once, on any stage. It is here to be caught.

import type { Design } from './design.mjs'

/** Any two grants of a process differ, and those of two processes nearly always. */
let last = 0

function token(): number {
  last = Math.max(last + 1, Math.round((performance.timeOrigin + performance.now()) * 1_000))
  return last
}

export const careless: Design = {
  open: async () => async () => {
    const { signal: never } = new AbortController()
    return Object.assign(async () => {}, { token: token(), signal: never })
  }
}
