import { readdirSync, readlinkSync } from 'node:fs'

/** The open descriptors of a process, and what they refer to. Linux only. */
export function openFiles(pid: number | 'self' = 'self'): [descriptor: number, path: string][] {
  const folder = `/proc/${pid}/fd`
  return readdirSync(folder).flatMap((descriptor) => {
    try {
      return [[Number(descriptor), readlinkSync(`${folder}/${descriptor}`)]]
    } catch {
      // Closed meanwhile, as the one by which they were listed.
      return []
    }
  })
}
