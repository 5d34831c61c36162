import { readdirSync, readlinkSync } from 'node:fs'

/** What this process has open: descriptors and what they stand for. Linux only. */
export function openFiles(): [descriptor: number, path: string][] {
  return readdirSync('/proc/self/fd').flatMap((descriptor) => {
    try {
      return [[Number(descriptor), readlinkSync(`/proc/self/fd/${descriptor}`)]]
    } catch {
      // The one by which they were listed.
      return []
    }
  })
}
