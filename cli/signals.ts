// The signals of `rootlock run`: which of them to pass on to the command, and how to die of one.

import { readFileSync, readlinkSync } from 'node:fs'
import { basename } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'

/** The signals that people and programs send, and that a program can handle. */
export const SIGNALS: NodeJS.Signals[] = [
  'SIGINT',
  'SIGTERM',
  'SIGHUP',
  'SIGQUIT',
  'SIGUSR1',
  'SIGUSR2'
]

/** The signals that a terminal's keys send to all of its foreground processes. */
const OF_KEYS = new Set<NodeJS.Signals>(['SIGINT', 'SIGQUIT'])

/** How long a signal to the whole group takes to reach the second of two processes. */
const PAIR_MS = 20

/** How long to wait for the witness's answer. */
const WITNESS_MS = 1000

/** A process in this process's group that reports the signals it received. */
export interface Witness {
  /** Resolves when it has reported every signal that it received before now. */
  hasTold(): Promise<unknown>
}

/**
 * Passes each signal on to the command once. A signal to the whole group (Ctrl-C, `timeout`, a shell's
 * `kill %1`) reaches the command by itself; one to this process alone (`kill`) doesn't. Node does not
 * say who sent a signal to whom, and a terminal proves nothing: there, too, programs send signals with
 * kill(2). But the keeper is in the same group: a signal that both of us received was sent to the group,
 * one that only one of us received was not. That includes signals to the keeper's own pid, which others
 * see as the holder's.
 */
export class Relay {
  readonly #witness: Witness
  readonly #send: (signal: NodeJS.Signals) => void
  readonly #inGroup: (signal: NodeJS.Signals) => boolean
  readonly #mine = new Set<NodeJS.Signals>()
  readonly #theirs = new Set<NodeJS.Signals>()

  /**
   * @param send to the command
   * @param inGroup whether the command receives the group's signals
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

  /** This process received one. */
  async came(signal: NodeJS.Signals): Promise<void> {
    if (this.#mine.has(signal)) return
    this.#mine.add(signal)
    await Promise.race([this.#witness.hasTold(), arrived(WITNESS_MS, false)])
    this.#decide(signal)
  }

  /** The witness received one. */
  async cameToWitness(signal: NodeJS.Signals): Promise<void> {
    if (this.#theirs.has(signal)) return
    this.#theirs.add(signal)
    await arrived(PAIR_MS, false)
    // If this process received one too, the witness's answer decides.
    if (!this.#mine.has(signal)) this.#decide(signal)
  }

  #decide(signal: NodeJS.Signals): void {
    const mine = this.#mine.delete(signal)
    const theirs = this.#theirs.delete(signal)
    if (!mine && !theirs) return
    if (!(mine && theirs && this.#inGroup(signal))) this.#send(signal)
  }
}

/**
 * Waits, and then for whatever has arrived by that time: if this process was not run meanwhile, its timers come before
 * the signals and messages that waited as long as they did.
 *
 * @param ref whether it keeps the process
 */
export async function arrived(ms: number, ref = true): Promise<void> {
  await pause(ms, undefined, { ref })
  await new Promise<void>((resolve) => setImmediate(resolve))
}

/** Whether a child is in this process's group, and so receives the group's signals. */
export function sharesGroup(pid: number, signal: NodeJS.Signals): boolean {
  try {
    return groupOf(pid) === groupOf('self')
  } catch {
    // Not Linux: a key's signal almost certainly went to the group; any other is better sent twice than never.
    return OF_KEYS.has(signal)
  }
}

function groupOf(pid: number | 'self'): string {
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[2]!
}

/**
 * Whether this process was started with SIGHUP ignored, as by nohup(1). Node resets that before any
 * of our code runs, and no system remembers it, so it is inferred. Shells leave the name of the program
 * that they start in `_`, which nohup passes on. The children of a shell that ignores SIGHUP ignore it
 * too. And nohup replaces a terminal as standard input with a /dev/null that can't be read.
 */
export function hangupsIgnored(): boolean {
  if (process.platform === 'win32') return false
  return basename(process.env['_'] ?? '') === 'nohup' || parentIgnores() || deafInput()
}

function parentIgnores(): boolean {
  const HANGUP = 1n
  try {
    const status = readFileSync(`/proc/${process.ppid}/status`, 'latin1')
    // Other programs may ignore it only for themselves.
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
 * Signals that dump core, which would be Node's and useless, and those that Node reserves for itself.
 * The exit code reports them.
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
 * Dies of a signal, so that the parent sees what it would have seen of the command: Ctrl-C ends a
 * shell's loop only if the program in it died of SIGINT. Returns where that is impossible: as
 * process 1, on Windows.
 */
export async function dieOf(signal: NodeJS.Signals): Promise<void> {
  if (process.platform === 'win32' || process.pid === 1 || NOT_TO_DIE_OF.has(signal)) return
  process.removeAllListeners(signal)
  process.kill(process.pid, signal)
  await pause(WITNESS_MS)
}
