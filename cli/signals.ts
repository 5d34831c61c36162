// Signals of `rootlock run`: which of them the command has to be sent, and how to die of one.

import { readFileSync, readlinkSync } from 'node:fs'
import { basename } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'

/** Those that people and their programs send, and that a program can act upon. */
export const SIGNALS: NodeJS.Signals[] = [
  'SIGINT',
  'SIGTERM',
  'SIGHUP',
  'SIGQUIT',
  'SIGUSR1',
  'SIGUSR2'
]

/** What a terminal's keys send, to all of its foreground processes. */
const OF_KEYS = new Set<NodeJS.Signals>(['SIGINT', 'SIGQUIT'])

/** For a signal to the whole group to come to the second of two processes. */
const PAIR_MS = 20

/** Who does not answer for that long is no witness. */
const WITNESS_MS = 1000

/** Whoever is in the same process group as this process, and tells what it was sent. */
export interface Witness {
  /** Resolves when it has told of every signal that it was sent before now. */
  hasTold(): Promise<unknown>
}

/**
 * Passes signals on to the command, once. A signal to the whole group (Ctrl-C, `timeout`, a shell's
 * `kill %1`) reaches the command by itself; one to this process alone (`kill`) doesn't. Node does not
 * tell who sent a signal to whom, and a terminal proves nothing: with one, signals are sent by kill(2)
 * as well. But the keeper is in the same group: what was sent to both of us was sent to all, what only
 * one of us was sent was not. That goes for the keeper's own pid too, which is the one that others see
 * as the holder's.
 */
export class Relay {
  readonly #witness: Witness
  readonly #send: (signal: NodeJS.Signals) => void
  readonly #inGroup: (signal: NodeJS.Signals) => boolean
  readonly #mine = new Set<NodeJS.Signals>()
  readonly #theirs = new Set<NodeJS.Signals>()

  /**
   * @param send to the command
   * @param inGroup whether the command is sent what the group is
   */
  constructor(
    witness: Witness,
    send: (signal: NodeJS.Signals) => void,
    inGroup: (signal: NodeJS.Signals) => boolean
  ) {
    this.#witness = witness
    this.#send = send
    this.#inGroup = inGroup
  }

  /** This process was sent one. */
  async came(signal: NodeJS.Signals): Promise<void> {
    if (this.#mine.has(signal)) return
    this.#mine.add(signal)
    await Promise.race([this.#witness.hasTold(), pause(WITNESS_MS, undefined, { ref: false })])
    this.#decide(signal)
  }

  /** The witness was sent one. */
  async cameToWitness(signal: NodeJS.Signals): Promise<void> {
    if (this.#theirs.has(signal)) return
    this.#theirs.add(signal)
    await pause(PAIR_MS, undefined, { ref: false })
    // With one of ours, the answer of the witness decides.
    if (!this.#mine.has(signal)) this.#decide(signal)
  }

  #decide(signal: NodeJS.Signals): void {
    const mine = this.#mine.delete(signal)
    const theirs = this.#theirs.delete(signal)
    if (!mine && !theirs) return
    if (!(mine && theirs && this.#inGroup(signal))) this.#send(signal)
  }
}

/** Whether a child is in the process group of this process, so that it gets the group's signals. */
export function sharesGroup(pid: number, signal: NodeJS.Signals): boolean {
  try {
    return groupOf(pid) === groupOf('self')
  } catch {
    // Not Linux: of a key it is all but certain, anything else is better sent twice than never.
    return OF_KEYS.has(signal)
  }
}

function groupOf(pid: number | 'self'): string {
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[2]!
}

/**
 * Whether this process was started with SIGHUP ignored, as by nohup(1). Node resets that before any
 * of our code runs, and no system remembers it; so it is known by its signs. Shells leave the name of
 * what they start in `_`, which nohup passes on. A shell that ignores SIGHUP has what it starts ignore
 * it. And nohup replaces a terminal's input by a /dev/null that can not be read.
 */
export function hangupsIgnored(): boolean {
  if (process.platform === 'win32') return false
  return basename(process.env['_'] ?? '') === 'nohup' || parentIgnores() || deafInput()
}

function parentIgnores(): boolean {
  const HANGUP = 1n
  try {
    const status = readFileSync(`/proc/${process.ppid}/status`, 'latin1')
    // Others may ignore it for themselves alone.
    if (!/^Name:\s*(\w*sh|busybox)$/m.test(status)) return false
    const ignored = BigInt(`0x${/^SigIgn:\s*(\w+)$/m.exec(status)![1]!}`)
    return (ignored & HANGUP) !== 0n
  } catch {
    return false
  }
}

function deafInput(): boolean {
  const WRITE_ONLY = 1
  try {
    const info = readFileSync('/proc/self/fdinfo/0', 'latin1')
    const flags = Number.parseInt(/^flags:\s*(\d+)$/m.exec(info)![1]!, 8)
    return (flags & 3) === WRITE_ONLY && readlinkSync('/proc/self/fd/0') === '/dev/null'
  } catch {
    return false
  }
}

/**
 * Those that dump core, which would be Node's and of no use, and those that Node keeps for itself.
 * The exit code tells of them.
 */
const NOT_TO_DIE_OF = new Set<NodeJS.Signals>([
  'SIGABRT',
  'SIGBUS',
  'SIGFPE',
  'SIGILL',
  'SIGSEGV',
  'SIGSYS',
  'SIGTRAP',
  'SIGXCPU',
  'SIGXFSZ',
  'SIGPIPE',
  'SIGPROF',
  'SIGUSR1'
])

/**
 * Dies of a signal, so that whoever started this sees what it would have seen of the command: a
 * shell's loop ends by Ctrl-C only if what it runs died of SIGINT. Returns where that can't be: as
 * process 1, on Windows.
 */
export async function dieOf(signal: NodeJS.Signals): Promise<void> {
  if (process.platform === 'win32' || process.pid === 1 || NOT_TO_DIE_OF.has(signal)) return
  process.removeAllListeners(signal)
  process.kill(process.pid, signal)
  await pause(WITNESS_MS)
}
