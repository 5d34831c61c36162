import { execFile } from 'node:child_process'
import { copyFile, readdir, utimes } from 'node:fs/promises'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'

import test, { type ExecutionContext } from 'ava'
import { tryRLock } from 'rootlock'

import { child, program } from '../helpers/child.mjs'
import { command, inTerminal, rootlock, run } from '../helpers/command.mjs'
import { eventually } from '../helpers/eventually.mjs'
import { hold, QUICK, waiter } from '../helpers/locks.mjs'
import { linux, needing, notEmulated, tool, unix } from '../helpers/needing.mjs'
import { temporaryRoot } from '../helpers/temporary-root.mjs'

const onUnix = needing(test, unix)
const onLinux = needing(test, linux)
const withFlock = needing(test, linux, tool('flock', '--version'))
const withTerminal = needing(test, unix, tool('script', '--version'))

interface Status {
  path: string
  state: string
  holder?: { pid: number; hostname: string; acquiredAt: string; token: number; command: string }
  ageMs?: number
  heartbeatMs?: number
  staleMs?: number
  holders: { pid: number; mode: string; command: string }[] | null
  waiters: { pid: number; mode: string; command: string }[] | null
  fileSystem: { kind: string; options: string; worth: string }
}

const ago = (ms: number) => new Date(Date.now() - ms)

const parse = (line: string) => JSON.parse(line) as Status

test('status of a directory without a lock is free, and creates nothing', async (t) => {
  const root = await temporaryRoot(t)
  const { code, out } = await run(t, 'status', '--json', root)
  t.is(code, 0)
  t.like(parse(out), { path: join(root, '.lock'), state: 'free', holder: undefined })
  t.regex((await run(t, 'status', root)).out, /^state +free$/m)
  t.deepEqual(await readdir(root), [])
})

test('status --json is one line with the holder, its terms and the file system', async (t) => {
  const root = await temporaryRoot(t)
  const { token } = await hold(t, root, { heartbeatMs: 5_000, staleMs: 60_000 })
  const { out } = await run(t, 'status', '--json', root)
  t.regex(out, /^\{.*\}\n$/)
  const seen = parse(out)
  t.like(seen, { state: 'exclusive', heartbeatMs: 5_000, staleMs: 60_000 })
  t.like(seen.holder, { pid: process.pid, hostname: hostname(), token, mode: 'exclusive' })
  t.false(Number.isNaN(Date.parse(seen.holder!.acquiredAt)))
  t.true(seen.ageMs! >= 0)
  t.true(['machine', 'server', 'mount', 'unknown'].includes(seen.fileSystem.worth))
})

onLinux('status lists every reader and every waiter', async (t) => {
  const root = await temporaryRoot(t)
  await hold(t, root, {}, tryRLock)
  const reader = child(t, 'holder', { root, shared: true })
  await reader.says('held')
  const writer = child(t, 'holder', { root })
  await writer.says('waiting')
  const seen = (await eventually('the writer waits in the kernel', async () => {
    const now = parse((await run(t, 'status', '--json', root)).out)
    return now.waiters!.length > 0 ? now : undefined
  }))!
  t.is(seen.state, 'shared')
  const pids = seen.holders!.map(({ pid }) => pid)
  t.deepEqual(pids.toSorted(), [process.pid, reader.pid].toSorted())
  t.true(seen.holders!.every(({ mode }) => mode === 'shared'))
  t.is(seen.waiters!.length, 1)
  t.like(seen.waiters![0], { pid: writer.pid, mode: 'exclusive' })
  // On an emulated processor it is the emulator's command, with node as its argument.
  t.regex(seen.waiters![0]!.command, notEmulated ? /\bnode .*holder\.mjs/ : /^node .*holder\.mjs/)
  const { out } = await run(t, 'status', root)
  t.regex(out, /^state +held by 2 readers$/m)
  t.regex(out, new RegExp(`^waiting +pid ${writer.pid} \\(.*\\) writes$`, 'm'))
})

withFlock('a holder that keeps no record is known from the system', async (t) => {
  const root = await temporaryRoot(t)
  const other = program(t, 'flock', [join(root, '.lock'), 'sh', '-c', 'echo held; read end'])
  await other.prints('held')
  const seen = parse((await run(t, 'status', '--json', root)).out)
  t.like(seen, { state: 'exclusive', heartbeatMs: undefined })
  t.like(seen.holder, { pid: other.pid })
  t.regex(seen.holder!.command, /^flock$/)
  t.regex((await run(t, 'status', root)).out, /its holder keeps no record/)
  const denied = await run(t, 'run', '-n', root, '--', process.execPath, '-e', '0')
  t.regex(denied.err, new RegExp(`store is locked by pid ${other.pid} \\(flock\\) `))
})

/** A window title, a line of its own, a C1 control, and text from right to left. */
const ACTS = '\x1b]0;title\x07\nrootlock: \x9bforged \u202etxt\u2028'

/** A holder without a record, which the system knows by its program's name. */
async function flockCalled(t: ExecutionContext, name: string, root: string) {
  const folder = await temporaryRoot(t)
  const { stdout } = await promisify(execFile)('sh', ['-c', 'command -v flock'])
  await copyFile(stdout.trim(), join(folder, name))
  const work = ['sh', '-c', 'echo held; read end']
  return program(t, join(folder, name), [join(root, '.lock'), ...work])
}

withFlock('a holder’s name is shown escaped', async (t) => {
  const root = await temporaryRoot(t)
  const other = await flockCalled(t, ACTS, root)
  await other.prints('held')
  const never = ['--', process.execPath, '-e', '0']
  for (const args of [
    ['status', root],
    ['status', '--json', root],
    ['doctor', root],
    ['run', '-n', root, ...never],
    ['run', '-w', '0.5', root, ...never]
  ]) {
    const { out, err } = await run(t, ...args)
    t.regex(out + err, /title/, args.join(' '))
    const lines = (out + err).split('\n')
    t.notRegex(lines.join(''), /[\p{Cc}\p{Bidi_Control}\u2028]/u, args.join(' '))
    t.true(
      lines.every((told) => !/^rootlock: \W*forged/.test(told)),
      args.join(' ')
    )
  }
})

withFlock('a holder’s name is escaped in the line of a wait on a terminal', async (t) => {
  const root = await temporaryRoot(t)
  const other = await flockCalled(t, ACTS, root)
  await other.prints('held')
  const waits = inTerminal(t, rootlock('run', root, '--', 'true'))
  await waits.prints('waiting for pid')
  await waits.prints('title')
  t.false(waits.printed.includes('\x1b]0;title'))
})

onUnix('a frozen holder is stale by its own terms', async (t) => {
  const root = await temporaryRoot(t)
  const holder = child(t, 'holder', { root, options: { heartbeatMs: 200, staleMs: 40_000 } })
  await holder.says('held')
  await holder.freeze(root)
  await utimes(join(root, '.lock'), ago(35_000), ago(35_000))
  t.is(parse((await run(t, 'status', '--json', root)).out).state, 'exclusive')
  await utimes(join(root, '.lock'), ago(45_000), ago(45_000))
  t.is(parse((await run(t, 'status', '--json', root)).out).state, 'stale')
  t.regex((await run(t, 'status', root)).out, /^state +stale: held, but/m)
})

test('status --watch --json prints a line whenever something changes', async (t) => {
  const root = await temporaryRoot(t)
  const watching = command(t, 'status', '--watch', '--json', root)
  const lines = () => watching.printed.split('\n').filter(Boolean).map(parse)
  await eventually('it says that it is free', () => lines().length === 1)
  const unlock = await hold(t, root, QUICK)
  await eventually('it says that it is held', () => lines().length > 1)
  await unlock()
  await eventually('it says that it is free again', () => lines().length > 2)
  t.deepEqual(
    lines().map(({ state }) => state),
    ['free', 'exclusive', 'free']
  )
  watching.kill('SIGTERM')
})

withTerminal('on a terminal status --watch redraws in place', async (t) => {
  const root = await temporaryRoot(t)
  const watching = inTerminal(t, rootlock('status', '--watch', root))
  await eventually('it has drawn twice', () => watching.printed.split('\x1b[H').length > 2)
  t.regex(watching.printed, /state +free/)
})

test('status of a missing directory says what to do', async (t) => {
  const root = await temporaryRoot(t)
  const { code, out, err } = await run(t, 'status', join(root, 'missing'))
  t.is(code, 69)
  t.is(out, '')
  t.regex(err, /^rootlock: .*ENOENT.*\n  .*mkdir -p /)
})

test('status --file-name looks at another lock of the same directory', async (t) => {
  const root = await temporaryRoot(t)
  await waiter(t, root, { fileName: '.posixage.lock' }).lock
  t.is(parse((await run(t, 'status', '--json', root)).out).state, 'free')
  const other = await run(t, 'status', '--json', '--file-name', '.posixage.lock', root)
  t.is(parse(other.out).state, 'exclusive')
})
