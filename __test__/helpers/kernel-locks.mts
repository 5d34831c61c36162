import { closeSync, openSync, readSync, statSync } from 'node:fs'
import { join } from 'node:path'

/** A line of /proc/locks. */
export interface KernelLock {
  waits: boolean
  mode: 'READ' | 'WRITE'
  pid: number
}

const hex = (number: bigint) => number.toString(16).padStart(2, '0')

/** The holders and waiters of a lock file's kernel lock. Linux only; synchronous. */
export function kernelLocks(root: string, fileName = '.lock'): KernelLock[] {
  const { ino } = statSync(join(root, fileName), { bigint: true })
  // The directory's: on an overlay of several file systems, the kernel reports another than the file's own.
  const { dev } = statSync(root, { bigint: true })
  const major = ((dev >> 8n) & 0xfffn) | ((dev >> 32n) & ~0xfffn)
  const minor = (dev & 0xffn) | ((dev >> 12n) & ~0xffn)
  const file = `${hex(major)}:${hex(minor)}:${ino}`
  return procLocks()
    .split('\n')
    .map((line) => line.trim().split(/\s+/).slice(1))
    .flatMap((fields) => {
      const waits = fields[0] === '->'
      const [, , mode, pid, of] = waits ? fields.slice(1) : fields
      return of === file ? [{ waits, mode: mode as KernelLock['mode'], pid: Number(pid) }] : []
    })
}

/**
 * Reads the file in as few calls as possible: between two of them the kernel forgets which locks it has
 * reported, and a lock that comes or goes elsewhere makes it report one twice, or not at all.
 */
function procLocks(): string {
  const [PAGE, LINE] = [4096, 128]
  const buffer = Buffer.alloc(PAGE)
  const descriptor = openSync('/proc/locks', 'r')
  let text = ''
  for (let length = PAGE; length > PAGE - LINE;) {
    length = readSync(descriptor, buffer)
    text += buffer.toString('latin1', 0, length)
  }
  closeSync(descriptor)
  return text
}
