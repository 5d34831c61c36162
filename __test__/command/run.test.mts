import { join } from 'node:path'
import { access, mkdir, rename, writeFile } from 'node:fs/promises'

import test from 'ava'
import { tryRLock } from 'rootlock'

import { child, program } from '../helpers/child.mjs'
import { command, inTerminal, rootlock, run, node, untilTold } from '../helpers/command.mjs'
import { eventually } from '../helpers/eventually.mjs'
import { kernelLocks } from '../helpers/kernel-locks.mjs'
import { hold } from '../helpers/locks.mjs'
import { needing, tool, unix } from '../helpers/needing.mjs'
import { temporaryRoot } from '../helpers/temporary-root.mjs'

const onUnix = needing(test, unix)
const withTerminal = needing(test, unix, tool('script', '--version'))

test('run gives the command the lock and the token, and passes on its exit code', async (t) => {
  const root = await temporaryRoot(t)
  const holding = command(
    t,
    'run',
    root,
    '--',
    ...node(
      'console.log(process.env.ROOTLOCK_TOKEN); process.stdin.on("end", () => process.exit(7)).resume()'
    )
  )
  await holding.prints('\n')
  t.true(Number(holding.printed) > 1e15)
  t.is((await run(t, 'run', '-n', root, '--', ...node('0'))).code, 75)
  holding.process.stdin!.end()
  t.is((await holding.ends()).code, 7)
  const after = await hold(t, root)
  t.true(after.token > Number(holding.printed))
})

test('run --shared admits readers and excludes writers', async (t) => {
  const root = await temporaryRoot(t)
  const unlock = await tryRLock(root)
  t.is((await run(t, 'run', '--shared', '-n', root, '--', ...node('0'))).code, 0)
  t.is((await run(t, 'run', '-n', root, '--', ...node('0'))).code, 75)
  await unlock()
})

test('a run that does not acquire the lock names its holder, advises, and has an exit code', async (t) => {
  const root = await temporaryRoot(t)
  await hold(t, root)
  const mark = join(root, 'ran')
  const never = node(`require("fs").writeFileSync(${JSON.stringify(mark)}, "")`)
  const denied = await run(t, 'run', '--no-wait', root, '--', ...never)
  t.is(denied.code, 75)
  t.is(denied.out, '')
  const [who, what, ...rest] = denied.err.split('\n')
  t.true(who!.startsWith(`rootlock: store is locked by pid ${process.pid} (`), who)
  // No pattern: on Windows there are backslashes in the path.
  t.true(what!.endsWith(` rootlock status ${root}`), what)
  t.deepEqual(rest, [''])
  for (const args of [
    ['-w', '0'],
    ['--wait', '0.05']
  ]) {
    t.is((await run(t, 'run', ...args, root, '--', ...never)).code, 75)
  }
  const chosen = await run(t, 'run', '-q', '-n', '-E', '3', root, '--', ...never)
  t.deepEqual(chosen, { code: 3, out: '', err: '' })
  await t.throwsAsync(access(mark), { code: 'ENOENT' })
})

test('run waits for the lock, and names its holder in one line on a pipe', async (t) => {
  const root = await temporaryRoot(t)
  const unlock = await hold(t, root)
  const waits = command(t, 'run', '--wait', '600', root, '--', ...node('console.log("mine")'))
  await waits.prints('\n')
  await unlock()
  t.is((await waits.ends()).code, 0)
  const [line, ...rest] = waits.printed.split('\n')
  t.true(line!.startsWith(`rootlock: waiting for pid ${process.pid} (`), line)
  t.deepEqual(rest, ['mine', ''])
})

withTerminal('on a terminal a wait names the holder and counts the time', async (t) => {
  const root = await temporaryRoot(t)
  const holder = child(t, 'holder', { root })
  await holder.says('held')
  const waits = inTerminal(t, rootlock('run', root, '--', ...node('console.log("mine")')))
  await waits.prints(`waiting for pid ${holder.pid} (node `)
  await eventually('it counts', () => /: [1-9]\d* (s|min)/.test(waits.printed))
  for (const line of waits.printed.split('\r')) {
    t.true(line.replace('\x1b[K', '').length < 80, `fits the terminal: ${line}`)
  }
  holder.tell('unlock')
  t.is((await waits.ends()).code, 0)
  t.true(waits.printed.endsWith('\r\x1b[Kmine\r\n'), 'the line is gone when the command begins')
})

for (const [where, declare, start, printed] of [
  ['on a pipe', test, (t, line) => program(t, line[0]!, line.slice(1)), 'mine\n'],
  ['on a terminal', withTerminal, inTerminal, 'mine\r\n']
] as [string, typeof test, typeof inTerminal, string][]) {
  declare(`run --quiet says nothing of a wait ${where}`, async (t) => {
    const root = await temporaryRoot(t)
    const unlock = await hold(t, root)
    const waits = start(t, rootlock('run', '-q', root, '--', ...node('console.log("mine")')))
    if (process.platform === 'linux') {
      await eventually('it waits', () => kernelLocks(root).some((lock) => lock.waits))
    }
    await unlock()
    await waits.ends()
    t.is(waits.printed, printed)
  })
}

onUnix(
  'when the lock is lost the command receives SIGTERM, and the exit code says so',
  async (t) => {
    const root = await temporaryRoot(t)
    const preempted = command(t, 'run', root, '--', ...untilTold)
    await preempted.prints('ready')
    await writeFile(join(root, 'other'), '')
    await rename(join(root, 'other'), join(root, '.lock'))
    t.is((await preempted.ends()).code, 76)
    t.regex(preempted.printed, /rootlock: lock was lost: its file was replaced or removed/)
  }
)

test('a missing command exits with 127, and the lock is free again', async (t) => {
  const root = await temporaryRoot(t)
  const missing = await run(t, 'run', root, '--', 'no-such-command-7')
  t.is(missing.code, 127)
  t.regex(missing.err, /^rootlock: no-such-command-7: command not found\n  \S/)
  await hold(t, root, { wait: false })
})

test('the name of a command that can not be started is escaped', async (t) => {
  const root = await temporaryRoot(t)
  const { code, err } = await run(t, 'run', root, '--', 'no\x1b[2Jsuch\ncommand')
  t.is(code, 127)
  t.true(err.startsWith('rootlock: no\\x1b[2Jsuch\\ncommand: command not found\n'), err)
})

onUnix('a command without permission to run exits with 126', async (t) => {
  const root = await temporaryRoot(t)
  const file = join(root, 'plain')
  await writeFile(file, '#!/bin/sh\n', { mode: 0o600 })
  t.is((await run(t, 'run', root, '--', file)).code, 126)
})

test('a directory that can not be locked exits with 69, and advice', async (t) => {
  const root = await temporaryRoot(t)
  const missing = await run(t, 'run', join(root, 'missing'), '--', ...node('0'))
  t.is(missing.code, 69)
  t.regex(missing.err, /^rootlock: could not lock store: ENOENT.*\n  .*mkdir -p /)
  await writeFile(join(root, 'file'), '')
  const file = await run(t, 'run', join(root, 'file'), '--', ...node('0'))
  t.is(file.code, 69)
  t.regex(file.err, /ENOTDIR.*\n  To lock a file: --file /)
})

test('--quiet hides no other failure with the same exit code', async (t) => {
  const root = join(await temporaryRoot(t), 'missing')
  const missing = await run(t, 'run', '-q', '-n', '-E', '69', root, '--', ...node('0'))
  t.is(missing.code, 69)
  t.regex(missing.err, /ENOENT/)
})

test('wrong usage exits with 64, says what is wrong and what to do, and runs nothing', async (t) => {
  const root = await temporaryRoot(t)
  for (const [args, says] of [
    [[], /no verb given/],
    [['walk'], /unknown verb "walk"/],
    [['toString'], /unknown verb "toString"/],
    [['run', root, 'true'], /run needs -- between/],
    [['run', '--', 'true'], /run needs a directory, or --file/],
    [['run', root, '--'], /run needs a command/],
    [['run', root, root, '--', 'true'], /takes one directory/],
    [['run', '--sharde', root, '--', 'true'], /Unknown option '--sharde'/],
    [['run', '--wait', 'long', root, '--', 'true'], /--wait must be a number from 0/],
    [['run', '--wait', '-1', root, '--', 'true'], /--wait/],
    [['run', '--wait', '1', '-n', root, '--', 'true'], /can't be used together/],
    [
      ['run', '-E', '256', root, '--', 'true'],
      /--conflict-exit-code must be a whole number from 0 to 255/
    ],
    [['run', '-E', '1.5', root, '--', 'true'], /whole number/],
    [['run', '--file-name', 'a/b', root, '--', 'true'], /plain file name/],
    [['run', '--file', 'x', root, '--', 'true'], /a directory or --file, but got both: x and /],
    [['status', '--file', 'x', '--file-name', 'y'], /got both: x and y\n.*--file-name NAME DIR/],
    [['status', '--file', './a:b'], /"path" is out of range/],
    [['status'], /status needs a directory/],
    [['run', '', '--', 'true'], /run needs a directory, but its name is empty/],
    [['status', ''], /status needs a directory, but its name is empty/],
    [['doctor', ''], /doctor needs a directory, but its name is empty/],
    [['doctor', '--json', root], /Unknown option '--json'/]
  ] as [string[], RegExp][]) {
    const { code, out, err } = await run(t, ...args)
    t.is(code, 64, args.join(' '))
    t.is(out, '')
    t.regex(err, says)
    t.regex(err, /^rootlock: .*\n  \S.*\n$/)
  }
})

onUnix('advice can be copied into a shell, whatever the names are', async (t) => {
  const root = join(await temporaryRoot(t), "it's $(mine)")
  await mkdir(root)
  await hold(t, root)
  const { code, err } = await run(t, 'run', '-n', root, '--', 'true')
  t.is(code, 75)
  const [, words = ''] = /look at the holder: rootlock (.*)\n/.exec(err) ?? []
  const copied = program(t, 'sh', ['-c', `${rootlock().join(' ')} ${words}`])
  t.is((await copied.ends()).code, 0, copied.printed)
  t.true(
    copied.printed.includes(root) && copied.printed.includes('held by a writer'),
    copied.printed
  )
})

test('help fits a screen, and names every exit code', async (t) => {
  for (const args of [['--help'], ['-h'], ['help'], ['run', '--help']]) {
    const { code, out } = await run(t, ...args)
    t.is(code, 0)
    const lines = out.split('\n')
    t.true(lines.length <= 24 && lines.every((line) => line.length <= 80))
    for (const number of [64, 69, 75, 76, 126, 127]) t.regex(out, new RegExp(` ${number} `))
  }
  t.regex((await run(t, '--version')).out, /^\d+\.\d+\.\d+\n$/)
})

test('run --file-name takes another lock of the same directory', async (t) => {
  const root = await temporaryRoot(t)
  await hold(t, root)
  t.is(
    (await run(t, 'run', '-n', '--file-name', '.posixage.lock', root, '--', ...node('0'))).code,
    0
  )
})
