// `rootlock run`: a command under the lock.

import { spawn, type ChildProcess } from 'node:child_process'
import { constants } from 'node:os'

import { tryLock, tryRLock, type LockError, type UnlockFunc } from '../index'
import { number, parse, whole } from './arguments'
import { exits } from './exits'
import { Failure, isHeld, locking, misused } from './failure'
import { WaitLine } from './wait-line'

/** What timers can count. */
const MOST_SECONDS = 2_147_483

const FORWARDED: NodeJS.Signals[] = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT', 'SIGUSR1', 'SIGUSR2']

/** What a terminal itself sends to all of its foreground processes: the command has it already. */
const OF_TERMINAL = new Set<NodeJS.Signals>(['SIGINT', 'SIGQUIT'])

const options = {
  shared: { type: 'boolean', short: 's' },
  wait: { type: 'string', short: 'w' },
  'no-wait': { type: 'boolean', short: 'n' },
  'conflict-exit-code': { type: 'string', short: 'E' },
  quiet: { type: 'boolean', short: 'q' },
  file: { type: 'string' }
} as const

function read(args: string[]) {
  const end = args.indexOf('--')
  if (end < 0) {
    const next = 'Write: rootlock run [options] DIR -- COMMAND…'
    throw misused('run needs -- between the directory and the command', next)
  }
  const { values, directory } = parse('run', args.slice(0, end), options)
  const [command, ...rest] = args.slice(end + 1)
  if (!command) throw misused('run needs a command after --')
  if (values.wait !== undefined && values['no-wait']) {
    throw misused('--wait and --no-wait exclude each other')
  }
  const seconds =
    values.wait === undefined ? undefined : number('--wait', values.wait, 0, MOST_SECONDS)
  const conflict = values['conflict-exit-code']
  return {
    directory,
    command,
    rest,
    shared: values.shared ?? false,
    quiet: values.quiet ?? false,
    fileName: values.file,
    wait: !values['no-wait'] && seconds !== 0,
    ms: seconds && seconds * 1000,
    heldExit: conflict === undefined ? exits.held : whole('--conflict-exit-code', conflict, 0, 255)
  }
}

export async function run(args: string[]): Promise<number> {
  const given = read(args)
  let unlock: UnlockFunc
  try {
    unlock = await lock(given)
  } catch (error) {
    if (given.quiet && isHeld(error)) return given.heldExit
    throw locking(error, given.directory, given.heldExit)
  }
  const code = await under(unlock, given.command, given.rest)
  try {
    await unlock()
  } catch (error) {
    // The command has done its work, and the end of this process frees the lock.
    process.stderr.write(`rootlock: ${(error as Error).message}\n`)
  }
  return code
}

async function lock({
  directory,
  shared,
  quiet,
  fileName,
  wait,
  ms
}: ReturnType<typeof read>): Promise<UnlockFunc> {
  const line = process.stderr.isTTY && !quiet ? new WaitLine(directory, fileName) : undefined
  try {
    return await (shared ? tryRLock : tryLock)(directory, {
      wait,
      fileName,
      signal: ms ? AbortSignal.timeout(Math.ceil(ms)) : undefined,
      onWait: wait && line ? (holder) => line.begin(holder) : undefined
    })
  } finally {
    line?.end()
  }
}

/** Runs the command to its end. */
async function under(unlock: UnlockFunc, command: string, args: string[]): Promise<number> {
  let child: ChildProcess | undefined
  const terminal = [process.stdin, process.stdout, process.stderr].some(({ isTTY }) => isTTY)
  const forward = (signal: NodeJS.Signals) => {
    if (!(terminal && OF_TERMINAL.has(signal))) child?.kill(signal)
  }
  const tell = () => {
    const { message } = unlock.signal.reason as LockError
    process.stderr.write(
      `rootlock: ${message}\n  Told the command by SIGTERM; what it still writes may meet the next holder's\n`
    )
    child?.kill('SIGTERM')
  }
  // Before there is a command: a signal that came first would end this process and leave the
  // command without a lock.
  for (const signal of FORWARDED) process.on(signal, forward)
  try {
    const env = { ...process.env, ROOTLOCK_TOKEN: String(unlock.token) }
    child = spawn(command, args, { stdio: 'inherit', env })
    unlock.signal.addEventListener('abort', tell)
    const code = await ended(child, command)
    return unlock.signal.aborted ? exits.lost : code
  } finally {
    unlock.signal.removeEventListener('abort', tell)
    for (const signal of FORWARDED) process.off(signal, forward)
  }
}

function ended(child: ChildProcess, command: string): Promise<number> {
  return new Promise((resolve, reject) => {
    child.on('error', (error) => {
      // Only what kept it from being started: signals that can't be sent are told here too.
      if (child.pid === undefined) reject(notStarted(command, error))
    })
    child.on('exit', (code, signal) => {
      resolve(code ?? exits.signal + constants.signals[signal!])
    })
  })
}

function notStarted(command: string, error: NodeJS.ErrnoException): Failure {
  const windows = process.platform === 'win32'
  const next = windows
    ? `Scripts need their shell: rootlock run DIR -- cmd /c ${command} …`
    : 'Check its name and the PATH; pipes and variables need a shell: … -- sh -c "…"'
  return error.code === 'ENOENT'
    ? new Failure(`${command}: command not found`, next, exits.notFound)
    : new Failure(`${command}: ${error.message}`, next, exits.notExecutable)
}
