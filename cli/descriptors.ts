// The descriptors beyond the standard three that this process was started with: the command inherits them.

import { fstatSync, readdirSync, readlinkSync } from 'node:fs'

/**
 * The descriptors to pass on. Node marks all of them close-on-exec, its own and the inherited ones, so
 * they are told apart by what they refer to. Node itself opens event queues, pipes with both ends in this
 * process, /dev/null once or twice, and the channel to a parent that is Node too. An inherited pipe usually
 * has one end here; the common exception, the jobserver of make, is named in MAKEFLAGS.
 */
export function inheritedDescriptors(): number[] {
  if (process.platform === 'win32') return []
  const named = jobserver(process.env['MAKEFLAGS'] ?? '')
  const channel = process.channel as { fd?: number } | null | undefined
  const candidates = open().filter(({ fd }) => fd > 2 && fd !== channel?.fd)
  const own = candidates.find(({ is }) => is === 'anon_inode:[eventpoll]')?.fd ?? Infinity
  return candidates
    .filter(({ fd, is }) => {
      if (named.includes(fd)) return true
      if (is.startsWith('pipe:')) return candidates.filter((other) => other.is === is).length === 1
      if (is === '/dev/null') return fd < own
      return !is.startsWith('anon_inode:') && is !== 'unknown'
    })
    .map(({ fd }) => fd)
}

/** `--jobserver-auth=3,4`; a named pipe needs no descriptor. */
function jobserver(flags: string): number[] {
  const found = /--jobserver-(?:auth|fds)=(\d+),(\d+)/.exec(flags)
  return found ? [Number(found[1]), Number(found[2])] : []
}

interface Open {
  fd: number
  /** What it refers to, as Linux names it. */
  is: string
}

function open(): Open[] {
  for (const [folder, look] of [
    ['/proc/self/fd', (fd: number) => readlinkSync(`/proc/self/fd/${fd}`)],
    ['/dev/fd', kind]
  ] as const) {
    try {
      // The descriptor that the listing itself used is closed by now.
      return readdirSync(folder).flatMap((name) => {
        try {
          return [{ fd: Number(name), is: look(Number(name)) }]
        } catch {
          return []
        }
      })
    } catch {
      continue
    }
  }
  return []
}

/** Where the system has no names for them, a pipe looks like an event queue; neither is passed on. */
function kind(fd: number): string {
  const stat = fstatSync(fd)
  return stat.isFile() || stat.isDirectory() || stat.isCharacterDevice() ? 'file' : 'unknown'
}
