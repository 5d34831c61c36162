import { readdirSync, readFileSync } from 'node:fs'

/** The names of the addon's threads in a process, as the kernel cuts them off. Linux only. */
export function nativeThreads(pid: number | 'self' = 'self'): string[] {
  const folder = `/proc/${pid}/task`
  return readdirSync(folder).flatMap((task) => {
    try {
      const name = readFileSync(`${folder}/${task}/comm`, 'utf8').trim()
      return name.startsWith('rootlock-') ? [name] : []
    } catch {
      // It has just ended.
      return []
    }
  })
}
