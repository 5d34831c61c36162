import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { rename, writeFile } from 'node:fs/promises'

import test, { type ExecutionContext } from 'ava'
import { inspect } from 'rootlock'

import { program } from '../helpers/child.mjs'
import { command, inTerminal, rootlock, run, node } from '../helpers/command.mjs'
import { eventually } from '../helpers/eventually.mjs'
import { kernelLocks } from '../helpers/kernel-locks.mjs'
import { hold } from '../helpers/locks.mjs'
import { quiet } from '../helpers/must-block.mjs'
import { linux, namespaces, needing, onPath, superuser, tool, unix } from '../helpers/needing.mjs'
import { temporaryRoot } from '../helpers/temporary-root.mjs'

const onUnix = needing(test, unix)
const onLinux = needing(test, linux)
const withTerminal = needing(test, unix, tool('script', '--version'))
const inNamespace = needing(test, linux, superuser, namespaces)
const withBash = needing(test, unix, onPath('bash'), onPath('nohup'))
const withNohup = needing(test, linux, tool('script', '--version'), tool('nohup', '--version'))

/** Counts a signal, reports the count when no more can come, and exits with 4 on request. */
const counts = (signal: NodeJS.Signals) =>
  node(`let times = 0
    process.on("${signal}", () => { if (times++ === 0) setTimeout(() => console.log("times " + times), 300) })
    process.stdin.on("data", (text) => { if (String(text).includes("end")) process.exit(4) })
    console.log("run " + process.ppid + " ready")`)

/** The pid of the run, as reported by its command. */
const runOf = (printed: string) => Number(/run (\d+) ready/.exec(printed)![1])

async function waits(root: string) {
  await eventually('it waits', () => kernelLocks(root).some((lock) => lock.waits))
}

for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP', 'SIGQUIT', 'SIGUSR1', 'SIGUSR2'] as const) {
  onUnix(`${signal} is forwarded, and the lock is kept until the command has ended`, async (t) => {
    const root = await temporaryRoot(t)
    const wrapped = command(t, 'run', root, '--', ...counts(signal))
    await wrapped.prints('ready')
    wrapped.kill(signal)
    await wrapped.prints('times')
    t.regex(wrapped.printed, /times 1\n/)
    t.is((await run(t, 'run', '-n', root, '--', ...node('0'))).code, 75)
    wrapped.process.stdin!.write('end')
    t.is((await wrapped.ends()).code, 4)
  })
}

for (const [key, signal] of [
  ['\x03', 'SIGINT'],
  ['\x1c', 'SIGQUIT']
] as const) {
  withTerminal(`the key of ${signal} on a terminal reaches the command once`, async (t) => {
    const root = await temporaryRoot(t)
    const there = inTerminal(t, rootlock('run', root, '--', ...counts(signal)))
    await there.prints('ready')
    there.process.stdin!.write(key)
    await there.prints('times')
    t.regex(there.printed, /times 1\r\n/)
    there.process.stdin!.write('end\n')
    t.is((await there.ends()).code, 4)
  })

  withTerminal(`${signal} by kill on a terminal reaches the command, once`, async (t) => {
    const root = await temporaryRoot(t)
    const there = inTerminal(t, rootlock('run', root, '--', ...counts(signal)))
    await there.prints('ready')
    process.kill(runOf(there.printed), signal)
    await there.prints('times')
    t.regex(there.printed, /times 1\r\n/)
    there.process.stdin!.write('end\n')
    t.is((await there.ends()).code, 4)
  })
}

onLinux('a signal to the whole group reaches the command once', async (t) => {
  const root = await temporaryRoot(t)
  const line = rootlock('run', root, '--', ...counts('SIGTERM'))
  const wrapped = program(t, line[0]!, line.slice(1), 'pipe', { detached: true })
  await wrapped.prints('ready')
  process.kill(-wrapped.pid, 'SIGTERM')
  await wrapped.prints('times')
  t.regex(wrapped.printed, /times 1\n/)
  wrapped.process.stdin!.write('end')
  t.is((await wrapped.ends()).code, 4)
})

onLinux('a signal to the group also reaches a command in a group of its own', async (t) => {
  const root = await temporaryRoot(t)
  const line = rootlock('run', root, '--', 'setsid', ...counts('SIGTERM'))
  const wrapped = program(t, line[0]!, line.slice(1), 'pipe', { detached: true })
  await wrapped.prints('ready')
  process.kill(-wrapped.pid, 'SIGTERM')
  await wrapped.prints('times 1')
  wrapped.process.stdin!.write('end')
  t.is((await wrapped.ends()).code, 4)
})

onUnix('a signal to the pid that others see as the holder reaches the command', async (t) => {
  const root = await temporaryRoot(t)
  const wrapped = command(t, 'run', root, '--', ...counts('SIGTERM'))
  await wrapped.prints('ready')
  const { holder } = await inspect(root)
  process.kill(holder!.pid, 'SIGTERM')
  await wrapped.prints('times')
  t.regex(wrapped.printed, /times 1\n/)
  t.is((await run(t, 'run', '-n', root, '--', ...node('0'))).code, 75)
  wrapped.process.stdin!.write('end')
  t.is((await wrapped.ends()).code, 4)
})

onUnix('the caller sees which signal ended the command', async (t) => {
  const root = await temporaryRoot(t)
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGKILL', 'SIGUSR2'] as const) {
    const ended = command(t, 'run', root, '--', 'sh', '-c', `kill -${signal.slice(3)} $$`)
    t.deepEqual(await ended.ends(), { code: null, signal })
    t.is(ended.printed, '')
  }
})

onUnix('the exit code reports a signal that dumps core, and Node dumps none', async (t) => {
  const root = await temporaryRoot(t)
  t.is((await run(t, 'run', root, '--', 'sh', '-c', 'kill -SEGV $$')).code, 128 + 11)
})

withBash('Ctrl-C ends a shell’s loop', async (t) => {
  const root = await temporaryRoot(t)
  const [interpreter, main] = rootlock()
  const script = `for i in 1 2 3; do "$0" "$1" run "$2" -- sh -c 'echo round; kill -INT 0; sleep 9'; done; echo on`
  const loop = program(t, 'bash', ['-c', script, interpreter!, main!, root], 'pipe', {
    detached: true
  })
  await loop.ends()
  t.is(loop.printed, 'round\n')
})

onLinux('a signal before the lock is granted ends the wait', async (t) => {
  const root = await temporaryRoot(t)
  await hold(t, root)
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    const waiting = command(t, 'run', root, '--', ...node('0'))
    await waits(root)
    waiting.kill(signal)
    t.is((await waiting.ends()).signal, signal)
    await eventually('nobody waits', () => kernelLocks(root).every((lock) => !lock.waits))
  }
})

onLinux('a signal that ends a wait prints nothing about the holder', async (t) => {
  const root = await temporaryRoot(t)
  await hold(t, root)
  for (const [options, says] of [
    [[], /^rootlock: waiting for pid \d+ .*\n$/],
    [['-q'], /^$/]
  ] as [string[], RegExp][]) {
    const waiting = command(t, 'run', ...options, root, '--', ...node('0'))
    await waits(root)
    // It says so a moment later.
    await eventually('it says what it says', () => says.test(waiting.printed))
    waiting.kill('SIGTERM')
    t.is((await waiting.ends()).signal, 'SIGTERM')
    t.regex(waiting.printed, says)
    await eventually('nobody waits', () => kernelLocks(root).every((lock) => !lock.waits))
  }
})

onLinux('a signal between the grant and the command is no loss', async (t) => {
  const root = await temporaryRoot(t)
  const unlock = await hold(t, root)
  const waiting = command(t, 'run', '-q', root, '--', ...node('console.log("never")'))
  await waits(root)
  const { pid } = kernelLocks(root).find((lock) => lock.waits)!
  // It receives the signal and the grant at the same time.
  await waiting.freeze()
  process.kill(pid, 'SIGTERM')
  await quiet()
  await unlock()
  await eventually('it is granted', async () => (await inspect(root)).holder?.pid === pid)
  await quiet()
  waiting.thaw()
  t.is((await waiting.ends()).signal, 'SIGTERM')
  t.is(waiting.printed, '')
  await hold(t, root)
})

inNamespace('a signal ends the wait even of process 1', async (t) => {
  const root = await temporaryRoot(t)
  await hold(t, root)
  for (const [signal, code] of [
    ['SIGTERM', 143],
    ['SIGINT', 130]
  ] as const) {
    const line = ['--pid', '--fork', ...rootlock('run', root, '--', 'true')]
    const namespace = program(t, 'unshare', line)
    await waits(root)
    const children = readFileSync(`/proc/${namespace.pid}/task/${namespace.pid}/children`, 'latin1')
    process.kill(Number(children.trim()), signal)
    t.is((await namespace.ends()).code, code)
  }
})

/** Survives SIGHUP, or does not; reports when it has survived for a while. */
const hungUp = ['sh', '-c', 'echo "run $PPID ready"; read end; echo "still at work"; exit 4']

async function livesThroughHangup(
  t: ExecutionContext,
  there: ReturnType<typeof program>,
  root: string
) {
  await there.prints('ready')
  const group = runOf(there.printed)
  const { holder } = await inspect(root)
  for (const pid of [group, holder!.pid]) process.kill(pid, 'SIGHUP')
  // Nothing must happen, and there is nothing else to wait for.
  await quiet()
  t.is((await run(t, 'run', '-n', root, '--', ...node('0'))).code, 75)
}

withBash('nohup protects the run and its command from SIGHUP', async (t) => {
  const root = await temporaryRoot(t)
  const script = 'exec nohup "$@"'
  const line = ['-c', script, 'bash', ...rootlock('run', root, '--', ...hungUp)]
  const there = program(t, 'bash', line)
  await livesThroughHangup(t, there, root)
  there.process.stdin!.write('end\n')
  t.is((await there.ends()).code, 4)
  t.regex(there.printed, /still at work/)
})

onLinux('a shell that ignores SIGHUP protects the run and its command from it', async (t) => {
  const root = await temporaryRoot(t)
  const line = ['-c', 'trap "" HUP; "$@"; exit $?', 'sh', ...rootlock('run', root, '--', ...hungUp)]
  const there = program(t, 'sh', line)
  await livesThroughHangup(t, there, root)
  there.process.stdin!.write('end\n')
  t.is((await there.ends()).code, 4)
})

withNohup('nohup on a terminal protects the run and its command from SIGHUP', async (t) => {
  const root = await temporaryRoot(t)
  const said = join(root, 'said')
  const work = [
    'sh',
    '-c',
    'echo "run $PPID ready" >> "$0"; while [ -e "$0" ] && [ ! -e "$0.end" ]; do sleep 0.05; done; exit 4',
    said
  ]
  // Must be inferred from what nohup does, not from what a shell leaves.
  const there = inTerminal(t, [
    'sh',
    '-c',
    'cd "$0"; unset _; exec nohup "$@"',
    root,
    ...rootlock('run', root, '--', ...work)
  ])
  const printed = await eventually('the command is at work', () => {
    try {
      return readFileSync(said, 'utf8')
    } catch {
      return ''
    }
  })
  process.kill(runOf(printed), 'SIGHUP')
  await quiet()
  t.is((await run(t, 'run', '-n', root, '--', ...node('0'))).code, 75)
  await writeFile(`${said}.end`, '')
  t.is((await there.ends()).code, 4)
})

onUnix('a closed standard error does not end the run before the command', async (t) => {
  const root = await temporaryRoot(t)
  const unlock = await hold(t, root)
  const waiting = command(t, 'run', root, '--', ...node('process.exit(7)'))
  waiting.process.stderr!.destroy()
  if (process.platform === 'linux') await waits(root)
  await quiet()
  await unlock()
  t.is((await waiting.ends()).code, 7)
})

onUnix('a loss ends the command even if standard error is closed', async (t) => {
  const root = await temporaryRoot(t)
  const preempted = command(t, 'run', root, '--', ...counts('SIGTERM'))
  await preempted.prints('ready')
  preempted.process.stderr!.destroy()
  await writeFile(join(root, 'other'), '')
  await rename(join(root, 'other'), join(root, '.lock'))
  await preempted.prints('times 1')
  preempted.process.stdin!.write('end')
  t.is((await preempted.ends()).code, 76)
})
