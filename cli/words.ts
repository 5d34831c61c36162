import type { Holder } from '../index'
import { printable } from '../src/printable'

const SECOND = 1000
const MINUTE = 60 * SECOND
const HOUR = 60 * MINUTE
const DAY = 24 * HOUR

/** A time as people say it: `4 s`, `3 min`, `2 h`. */
export function duration(ms: number): string {
  const units: [string, number][] = [
    ['d', DAY],
    ['h', HOUR],
    ['min', MINUTE],
    ['s', SECOND]
  ]
  const [unit, size] = units.find(([, of]) => ms >= 2 * of) ?? ['s', SECOND]
  return `${Math.floor(ms / size)} ${unit}`
}

/** Names a process: `pid 4242 (node build.js) on host ci-7`. What it calls itself can't act on a terminal. */
export function who({ pid, command, hostname }: Partial<Holder> & { pid: number }): string {
  return printable(
    `pid ${pid}${command ? ` (${command})` : ''}${hostname ? ` on host ${hostname}` : ''}`
  )
}

/** What no shell takes for anything but a word. */
const PLAIN = process.platform === 'win32' ? /^[\w@%+=:,.~\\/-]+$/ : /^[\w@%+=:,./-]+$/

/** A word of a command line that a person may copy. It can't act on a terminal. */
export function quoted(word: string): string {
  if (PLAIN.test(word)) return word
  const within =
    process.platform === 'win32' ? `"${word}"` : `'${word.replaceAll("'", String.raw`'\''`)}'`
  return printable(within)
}

/** What the `reach` of a file system means. */
export const reachMeans = {
  machine: 'a local file system; a lock excludes every other process on this machine',
  server: 'the server manages the locks; a lock excludes every client that mounts it',
  mount: 'a lock excludes only processes that use this same mount, not other clients',
  unknown: 'it is not known whether a lock excludes other clients'
} as const
