// `rootlock run`: runs a command under the lock. This process starts the command, passes signals on and
// reports how it ended; another process holds the lock (keeper.ts).

import { spawn, type ChildProcess } from 'node:child_process'
import { constants } from 'node:os'
import { setTimeout as pause } from 'node:timers/promises'

import { environmentOf } from './ancestors'
import { number, parse, whole } from './arguments'
import { inheritedDescriptors } from './descriptors'
import { exits } from './exits'
import { Failure, misused } from './failure'
import { KeptLock } from './kept-lock'
import type { Terms } from './keeper-words'
import { dieOf, hangupsIgnored, Relay, sharesGroup, SIGNALS } from './signals'
import { printable } from '../src/printable'

/** The longest time that a timer can count. */
const MOST_SECONDS = 2_147_483

/** How long an abandoned wait may take to end by itself and clear its line on the terminal. */
const LEAVE_MS = 1000

/**
 * The descriptor by which the command and its children hold the lock: it stays out of the way of those
 * that scripts choose, and above those that Node closes in the programs that it starts (npm!).
 */
const LEAST_DESCRIPTOR = 40

const options = {
  shared: { type: 'boolean', short: 's' },
  wait: { type: 'string', short: 'w' },
  'no-wait': { type: 'boolean', short: 'n' },
  'conflict-exit-code': { type: 'string', short: 'E' },
  quiet: { type: 'boolean', short: 'q' },
  close: { type: 'boolean', short: 'o' }
} as const

function read(args: string[]) {
  const end = args.indexOf('--')
  if (end < 0) {
    const next = 'Use: rootlock run [options] DIR -- COMMAND…'
    throw misused('run needs -- between the directory and the command', next)
  }
  const { values, target } = parse('run', args.slice(0, end), options)
  const [command, ...rest] = args.slice(end + 1)
  if (!command) throw misused('run needs a command after --')
  if (values.wait !== undefined && values['no-wait']) {
    throw misused("--wait and --no-wait can't be used together")
  }
  const seconds =
    values.wait === undefined ? undefined : number('--wait', values.wait, 0, MOST_SECONDS)
  const conflict = values['conflict-exit-code']
  const terms: Terms = {
    ...target,
    shared: values.shared ?? false,
    quiet: values.quiet ?? false,
    wait: !values['no-wait'] && seconds !== 0,
    ms: seconds && seconds * 1000,
    heldExit: conflict === undefined ? exits.held : whole('--conflict-exit-code', conflict, 0, 255),
    // On Windows only the command itself inherits a handle, not its children.
    inherited: !values.close && process.platform !== 'win32'
  }
  return { terms, command, rest }
}

/** How the command ended. */
type End = { code: number } | { signal: NodeJS.Signals }

export async function run(args: string[]): Promise<number> {
  const { terms, command, rest } = read(args)
  // Before anything is opened here.
  const descriptors = inheritedDescriptors()
  const deaf = hangupsIgnored()
  const lock = new KeptLock(terms)
  let child: ChildProcess | undefined
  let stop: (signal: NodeJS.Signals) => void
  let stopped: NodeJS.Signals | undefined
  const stopping = new Promise<void>((resolve) => {
    stop = (signal) => {
      stopped ??= signal
      resolve()
    }
  })
  const relay = new Relay(
    lock,
    (signal) => child?.kill(signal),
    (signal) => child?.pid !== undefined && sharesGroup(child.pid, signal)
  )
  // From the start: process 1 has no other way to end a wait, and a signal between the grant and the
  // start of the command would leave the command without a lock.
  const came = (signal: NodeJS.Signals) => {
    if (deaf && signal === 'SIGHUP') return
    if (child) void relay.came(signal)
    else stop(signal)
  }
  for (const signal of SIGNALS) process.on(signal, came)
  lock.on('signal', (signal) => {
    if (deaf && signal === 'SIGHUP') return
    if (child) void relay.cameToWitness(signal)
    else stop(signal)
  })
  lock.on('lost', (message) => {
    process.stderr.write(
      `rootlock: ${printable(message)}\n  Sent SIGTERM to the command; what it still writes may conflict with the next holder's work\n`
    )
    child?.kill('SIGTERM')
  })

  await Promise.race([lock.answered, stopping])
  if (stopped) {
    lock.letGo()
    await Promise.race([lock.ended, pause(LEAVE_MS, undefined, { ref: false })])
    await dieOf(stopped)
    return exits.signal + constants.signals[stopped]
  }
  const grant = await lock.answered
  if (!grant) return lock.exitCode()

  let end: End
  try {
    const env = {
      ...process.env,
      ROOTLOCK_TOKEN: String(grant.token),
      ...environmentOf(grant.as)
    }
    const line = deaf ? deafened(command, rest) : [command, ...rest]
    const stdio = streams(descriptors, terms.inherited ? lock.line : undefined)
    const started = (child = spawn(line[0]!, line.slice(1), { stdio, env }))
    if (lock.lost) child.kill('SIGTERM')
    end = await ended(started, command)
    for (const signal of SIGNALS) process.off(signal, came)
  } catch (error) {
    await lock.workEnded()
    throw error instanceof Failure ? error : notStarted(command, error as NodeJS.ErrnoException)
  }
  if ((await lock.workEnded()) === 'kept' && !lock.lost && !terms.quiet) {
    const { words } = terms
    process.stderr.write(
      `rootlock: the command has ended, but processes that it started still hold the lock of ${words}\n`
    )
  }
  if (lock.lost) return exits.lost
  if ('code' in end) return end.code
  await dieOf(end.signal)
  return exits.signal + constants.signals[end.signal]
}

/** The command's descriptors: all that this process inherited, and the line that holds the lock. */
function streams(descriptors: number[], line: KeptLock['line'] | undefined) {
  const given = new Map<number, number | KeptLock['line']>(descriptors.map((fd) => [fd, fd]))
  if (line) {
    let free = LEAST_DESCRIPTOR
    while (given.has(free)) free++
    given.set(free, line)
  }
  return Array.from({ length: Math.max(2, ...given.keys()) + 1 }, (_, fd) =>
    fd < 3 ? 'inherit' : (given.get(fd) ?? 'ignore')
  )
}

/** Has SIGHUP ignored in the command: Node resets all signals in the programs that it starts. */
function deafened(command: string, args: string[]): string[] {
  return ['sh', '-c', 'trap "" HUP; exec "$@"', 'sh', command, ...args]
}

function ended(child: ChildProcess, command: string): Promise<End> {
  return new Promise((resolve, reject) => {
    child.on('error', (error) => {
      // Only if it could not be started: a signal that can't be sent is reported here too.
      if (child.pid === undefined) reject(notStarted(command, error))
    })
    child.on('exit', (code, signal) => {
      resolve(code === null ? { signal: signal! } : { code })
    })
  })
}

function notStarted(name: string, error: NodeJS.ErrnoException): Failure {
  const command = printable(name)
  const windows = process.platform === 'win32'
  const next = windows
    ? `Scripts need their shell: rootlock run DIR -- cmd /c ${command} …`
    : 'Check its name and the PATH; pipes and variables need a shell: … -- sh -c "…"'
  return error.code === 'ENOENT'
    ? new Failure(`${command}: command not found`, next, exits.notFound)
    : new Failure(`${command}: ${printable(error.message)}`, next, exits.notExecutable)
}
