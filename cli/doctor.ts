// `rootlock doctor`: checks whether locks work reliably in a directory, by inspecting it and by trying.

import { randomUUID } from 'node:crypto'
import { constants as modes, rmSync } from 'node:fs'
import { access, realpath, rm, stat, writeFile } from 'node:fs/promises'
import { constants, release } from 'node:os'

import { tryLock } from '../index'
import { defaults, fileName as checkedFileName } from '../src/arguments'
import { within } from '../src/paths'
import { diagnose } from '../src/diagnosis'
import { version } from '../src/version'
import { parse, type Target } from './arguments'
import { exits } from './exits'
import { codeOf, forbidden, misused, remedy } from './failure'
import {
  conclude,
  fail,
  lineOf,
  lockState,
  ok,
  uninspected,
  warn,
  type Finding,
  type Verdict
} from './finding'
import { guardContent, lockFiles, MOVE_AWAY } from './lock-files'
import { dieOf } from './signals'
import { serverDoctor } from './server-doctor'
import { trial } from './trial'
import { duration, quoted, reachMeans } from './words'

/** A greater difference between the file system's clock and this machine's is reported. */
const MOST_DRIFT_MS = 1000

/** Signals that end it; what it has created is removed first. */
const ENDING: NodeJS.Signals[] = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT']

/** Time for the current step to end by itself; storage may hang. */
const LEAVE_MS = 1000

export async function doctor(args: string[]): Promise<number> {
  const { target } = parse('doctor', args, {})
  if (target.server !== undefined) return serverDoctor({ ...target, server: target.server })
  const { directory } = target
  const fileName = nameOf(target.fileName)
  // Under a name of its own: users of the directory are not disturbed.
  const name = `.rootlock-doctor-${randomUUID()}`
  const stop = new AbortController()
  let stopped: NodeJS.Signals | undefined
  const die = async (signal: NodeJS.Signals): Promise<never> => {
    for (const path of trialFiles(directory, name)) removeNow(path)
    await dieOf(signal)
    process.exit(exits.signal + constants.signals[signal])
  }
  for (const signal of ENDING) {
    process.on(signal, () => {
      if (stopped) return
      stopped = signal
      stop.abort()
      setTimeout(() => void die(signal), LEAVE_MS)
    })
  }
  const verdicts = new Set<Verdict>()
  const findings = examine({ ...target, fileName }, name, stop.signal)
  for await (const finding of findings) {
    if (stopped) break
    verdicts.add(finding.verdict)
    process.stdout.write(lineOf(finding))
  }
  if (stopped) return die(stopped)
  return conclude(verdicts, 'This directory', 'in this directory')
}

function nameOf(file: string | undefined): string {
  try {
    return checkedFileName(file) ?? defaults.fileName
  } catch (error) {
    throw misused((error as Error).message)
  }
}

/** @param name of the files that it may create */
async function* examine(
  { directory, fileName, words }: Target & { fileName: string },
  name: string,
  stop: AbortSignal
): AsyncGenerator<Finding> {
  yield ok(
    `rootlock ${version}, Node ${process.versions.node}, ${process.platform} ${process.arch} ${release()}`
  )
  const place = await directoryOf(directory)
  yield place
  if (place.verdict === 'fail') return
  yield await storage(directory, name)
  const permission = await permissions(directory)
  yield* permission
  const files = await lockFiles(directory, fileName)
  yield* files
  yield await state(directory, fileName, words)
  if (permission.some(({ verdict }) => verdict === 'fail')) {
    return yield warn(
      'the clock and the locks were not tested',
      'The tests need permission to create files'
    )
  }
  try {
    yield await clock(within(directory, `${name}.clock`))
    yield* record(directory, fileName, name)
    yield* trial({ where: directory, root: directory, fileName: name }, stop)
  } catch (error) {
    const next = remedy(codeOf(error), directory) ?? 'Find out what prevents creating files'
    yield fail(`no file can be created in it: ${(error as Error).message}`, next)
  } finally {
    await remove(directory, name)
  }
}

const trialFiles = (directory: string, name: string) =>
  [name, `${name}.guard`, `${name}.next`, `${name}.clock`].map((file) => within(directory, file))

async function remove(directory: string, name: string): Promise<void> {
  for (const path of trialFiles(directory, name)) await rm(path, { force: true }).catch(() => {})
}

function removeNow(path: string): void {
  try {
    rmSync(path, { force: true })
  } catch {
    // As good as it can be done.
  }
}

async function directoryOf(directory: string): Promise<Finding> {
  try {
    const real = await realpath(directory)
    if ((await stat(real)).isDirectory()) return ok(`directory ${real}`)
    return fail(`${real} is not a directory`, 'Name the directory that contains it')
  } catch (error) {
    const next =
      forbidden(codeOf(error)) ?? `Check the path, or create it: mkdir -p ${quoted(directory)}`
    return fail((error as Error).message, next)
  }
}

async function storage(directory: string, fileName: string): Promise<Finding> {
  const seen = await diagnose(directory, fileName).catch((error: Error) => error)
  if (seen instanceof Error)
    return fail(seen.message, 'A lock needs access to the directory: chmod')
  const { fileSystem, mountOptions, reach } = seen
  const what = `${fileSystem || 'an unknown file system'}: ${reachMeans[reach]}`
  if (reach === 'machine') return ok(what)
  const mounted = `${what}${mountOptions && ` (mounted ${mountOptions})`}`
  if (reach === 'server') return ok(mounted)
  return warn(mounted, 'That is fine for one machine; several need NFSv4 or SMB 3')
}

async function permissions(directory: string): Promise<Finding[]> {
  try {
    await access(directory, modes.W_OK | modes.X_OK)
    return [ok('files can be created in it')]
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    const next =
      code === 'EROFS'
        ? 'It is mounted read-only: remount it, or agree on a directory elsewhere to lock'
        : (forbidden(code) ??
          'Every lock, even a shared one, needs permission to write: chmod or chown the directory')
    return [fail(`no file can be created in it: ${message}`, next)]
  }
}

async function state(directory: string, fileName: string, words: string): Promise<Finding> {
  try {
    const seen = await diagnose(directory, fileName)
    return lockState(seen, `The next waiter takes it over. See: rootlock status ${words}`)
  } catch (error) {
    return uninspected(error)
  }
}

/** Whether the guard's content would make a lock fail: tried on a copy, because the real one is in use. */
async function* record(directory: string, fileName: string, name: string): AsyncGenerator<Finding> {
  const [guard, copy] = [within(directory, `${fileName}.guard`), within(directory, `${name}.guard`)]
  try {
    const content = await guardContent(guard)
    if (!content) return
    await writeFile(copy, content, { flag: 'wx' })
  } catch {
    // It does not exist yet, or has been reported already.
    return
  }
  try {
    await (
      await tryLock(directory, { fileName: name, wait: false })
    )()
  } catch (error) {
    const next = remedy(codeOf(error), directory) ?? MOVE_AWAY
    yield fail((error as Error).message.replaceAll(copy, guard), next)
  }
  await remove(directory, name)
}

async function clock(path: string): Promise<Finding> {
  const before = Date.now()
  await writeFile(path, '', { flag: 'wx' })
  const { mtimeMs } = await stat(path)
  // The time that this took is not a difference between the clocks.
  const ahead = Math.max(0, mtimeMs - Date.now()) || Math.min(0, mtimeMs - before)
  if (Math.abs(ahead) < MOST_DRIFT_MS)
    return ok("the file system's clock agrees with this machine's")
  const direction = ahead > 0 ? 'ahead of' : 'behind'
  return warn(
    `the file system's clock is ${duration(Math.abs(ahead))} ${direction} this machine's`,
    'No holder is preempted because of that, but ages are shown wrong: synchronise the clocks (NTP)'
  )
}
