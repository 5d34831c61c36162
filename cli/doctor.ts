// `rootlock doctor`: checks whether locks work reliably in a directory, by inspecting it and by trying.

import { randomUUID } from 'node:crypto'
import { constants } from 'node:fs'
import { access, copyFile, lstat, open, realpath, rm, stat, writeFile } from 'node:fs/promises'
import { release } from 'node:os'

import { tryLock } from '../index'
import { defaults, fileName as checkedFileName } from '../src/arguments'
import { within } from '../src/paths'
import { printable } from '../src/printable'
import { diagnose } from '../src/diagnosis'
import { version } from '../src/version'
import { parse } from './arguments'
import { exits } from './exits'
import { codeOf, misused, remedy } from './failure'
import { trial } from './trial'
import { duration, reachMeans, who } from './words'

/** A greater difference between the file system's clock and this machine's is reported. */
const MOST_DRIFT_MS = 1000

export type Verdict = 'ok' | 'warn' | 'fail'

/** The result of one check. */
export interface Finding {
  verdict: Verdict
  what: string
  /** What to do; only if something is wrong. */
  next?: string
}

const ok = (what: string): Finding => ({ verdict: 'ok', what })
const warn = (what: string, next: string): Finding => ({ verdict: 'warn', what, next })
const fail = (what: string, next: string): Finding => ({ verdict: 'fail', what, next })

export async function doctor(args: string[]): Promise<number> {
  const { values, directory } = parse('doctor', args, { file: { type: 'string' } })
  const verdicts = new Set<Verdict>()
  for await (const { verdict, what, next } of examine(directory, nameOf(values.file))) {
    verdicts.add(verdict)
    const more = next === undefined ? '' : `      ${printable(next)}\n`
    process.stdout.write(`${verdict.padEnd(4)}  ${printable(what)}\n${more}`)
  }
  process.stdout.write(
    verdicts.has('fail')
      ? '\nLocks in this directory are not reliable: see the failures above.\n'
      : verdicts.has('warn')
        ? '\nThis directory can be locked, but see the warnings above.\n'
        : '\nThis directory can be locked.\n'
  )
  return verdicts.has('fail') ? exits.unwell : exits.ok
}

function nameOf(file: string | undefined): string {
  try {
    return checkedFileName(file) ?? defaults.fileName
  } catch (error) {
    throw misused((error as Error).message)
  }
}

async function* examine(directory: string, fileName: string): AsyncGenerator<Finding> {
  yield ok(
    `rootlock ${version}, Node ${process.versions.node}, ${process.platform} ${process.arch} ${release()}`
  )
  const place = await directoryOf(directory)
  yield place
  if (place.verdict === 'fail') return
  // A name of its own, so that nobody who uses the directory is disturbed.
  const name = `.rootlock-doctor-${randomUUID()}`
  yield await storage(directory, name)
  const permission = await permissions(directory)
  yield* permission
  const files = await lockFiles(directory, fileName)
  yield* files
  yield await state(directory, fileName)
  if (permission.some(({ verdict }) => verdict === 'fail')) {
    return yield warn(
      'the clock and the locks were not tested',
      'The tests need permission to create files'
    )
  }
  try {
    yield await clock(within(directory, `${name}.clock`))
    yield* record(directory, fileName, name)
    yield* trial(directory, name)
  } catch (error) {
    const next = remedy(codeOf(error), directory) ?? 'Find out what prevents creating files'
    yield fail(`no file can be created in it: ${(error as Error).message}`, next)
  } finally {
    await remove(directory, name)
  }
}

async function remove(directory: string, name: string): Promise<void> {
  for (const file of [name, `${name}.guard`, `${name}.next`, `${name}.clock`]) {
    await rm(within(directory, file), { force: true }).catch(() => {})
  }
}

async function directoryOf(directory: string): Promise<Finding> {
  try {
    const real = await realpath(directory)
    if ((await stat(real)).isDirectory()) return ok(`directory ${real}`)
    return fail(`${real} is not a directory`, 'Name the directory that contains it')
  } catch (error) {
    return fail((error as Error).message, `Check the path, or create it: mkdir -p ${directory}`)
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
    await access(directory, constants.W_OK | constants.X_OK)
    return [ok('files can be created in it')]
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    const next =
      code === 'EROFS'
        ? 'It is mounted read-only: remount it, or agree on a directory elsewhere to lock'
        : 'Every lock, even a shared one, needs permission to write: chmod or chown the directory'
    return [fail(`no file can be created in it: ${message}`, next)]
  }
}

/** Opens those that exist as a lock opens them: a file whose mode allows it may still refuse. */
async function lockFiles(directory: string, fileName: string): Promise<Finding[]> {
  const findings: Finding[] = []
  for (const name of [fileName, `${fileName}.guard`]) {
    const finding = await lockFile(within(directory, name), name === fileName).catch(cantBeOpened)
    if (finding) findings.push(finding)
  }
  return findings.length > 0 ? findings : [ok('the lock files are sound, or do not exist yet')]
}

async function lockFile(path: string, carriesLock: boolean): Promise<Finding | undefined> {
  if (!(await lstat(path)).isFile()) {
    return fail(`${path} is not a regular file`, 'Find out what it is, and move it away')
  }
  const { O_RDWR, O_NOFOLLOW = 0, O_NONBLOCK = 0 } = constants
  const file = await open(path, O_RDWR | O_NOFOLLOW | O_NONBLOCK)
  try {
    const { nlink, size } = await file.stat()
    if (nlink > 1) {
      const next =
        'A lock would write to a file elsewhere: remove this name while nobody uses the lock'
      return fail(`${path} has ${nlink} names (hard links)`, next)
    }
    if (carriesLock && size > 0) {
      const next =
        'If its holder freezes, nobody can take the lock over: lock an empty file (--file)'
      return warn(`${path} has content, which is never replaced`, next)
    }
  } finally {
    await file.close()
  }
  return undefined
}

function cantBeOpened(error: NodeJS.ErrnoException): Finding | undefined {
  const { code, message } = error
  if (code === 'ENOENT') return undefined
  const next =
    code === 'EACCES'
      ? 'It belongs to the user who locked first: use one user, or chmod it for all of them'
      : 'A lock opens it for reading and writing: find out what prevents that (lsattr, mount)'
  return fail(message, next)
}

async function state(directory: string, fileName: string): Promise<Finding> {
  try {
    const { state: now, holder, ageMs } = await diagnose(directory, fileName)
    if (now === 'free') return ok('the lock is free')
    const whom = holder ? who(holder) : 'another process'
    if (now !== 'stale') return ok(`${whom} holds the lock`)
    const file = fileName === defaults.fileName ? '' : ` --file ${fileName}`
    return warn(
      `${whom} holds the lock, but has shown no sign of life for ${duration(ageMs ?? 0)}`,
      `The next waiter takes it over. See: rootlock status${file} ${directory}`
    )
  } catch (error) {
    return fail((error as Error).message, "The lock can't be inspected: see the other findings")
  }
}

/** Whether the guard's content would make a lock fail: tried on a copy, because the real one is in use. */
async function* record(directory: string, fileName: string, name: string): AsyncGenerator<Finding> {
  const [guard, copy] = [within(directory, `${fileName}.guard`), within(directory, `${name}.guard`)]
  try {
    await copyFile(guard, copy)
  } catch {
    // It does not exist yet, or has been reported already.
    return
  }
  try {
    await (
      await tryLock(directory, { fileName: name, wait: false })
    )()
  } catch (error) {
    const next =
      remedy(codeOf(error), directory) ?? 'Lock another name (--file), or move that file away'
    yield fail((error as Error).message.replaceAll(copy, guard), next)
  }
  await remove(directory, name)
}

async function clock(path: string): Promise<Finding> {
  const before = Date.now()
  await writeFile(path, '', { flag: 'wx' })
  const { mtimeMs } = await stat(path)
  // The time that this took is no difference between the clocks.
  const ahead = Math.max(0, mtimeMs - Date.now()) || Math.min(0, mtimeMs - before)
  if (Math.abs(ahead) < MOST_DRIFT_MS)
    return ok("the file system's clock agrees with this machine's")
  const direction = ahead > 0 ? 'ahead of' : 'behind'
  return warn(
    `the file system's clock is ${duration(Math.abs(ahead))} ${direction} this machine's`,
    'No holder is preempted because of that, but ages are shown wrong: synchronise the clocks (NTP)'
  )
}
