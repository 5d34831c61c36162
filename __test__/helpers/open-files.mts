import { readdirSync, readlinkSync } from 'node:fs'

/** The open descriptors of this process, and what they refer to. Linux only. */
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
