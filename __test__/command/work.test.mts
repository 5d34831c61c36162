// The lock of `rootlock run` lasts as long as the work, whichever process ends meanwhile.

import { once } from 'node:events'
import { rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

import test, { type ExecutionContext } from 'ava'
import { inspect } from 'rootlock'

import { command, rootlock, run, node, untilTold } from '../helpers/command.mjs'
import { program } from '../helpers/child.mjs'
import { inTime } from '../helpers/eventually.mjs'
import { hold } from '../helpers/locks.mjs'
import { linux, needing, notEmulated, onPath, unix } from '../helpers/needing.mjs'
import { temporaryRoot } from '../helpers/temporary-root.mjs'

const onUnix = needing(test, unix)
const onLinux = needing(test, linux)
const onProcessor = needing(test, linux, notEmulated)
const withMake = needing(test, linux, onPath('make'))

/** Work that a shell leaves running, with its own streams, until a file exists. */
const leaves = (t: ExecutionContext, root: string, then: string) => {
  const file = join(root, 'end')
  t.teardown(() => writeFile(file, ''))
  const work =
    '(while [ -d "$1" ] && [ ! -e "$0" ]; do sleep 0.05; done) </dev/null >/dev/null 2>&1 &'
  return { file, line: ['sh', '-c', `${work} echo "run $PPID ready"; ${then}`, file, root] }
}

async function isHeld(t: ExecutionContext, root: string): Promise<void> {
  t.is((await run(t, 'run', '-n', root, '--', ...node('0'))).code, 75)
}

/** Once the work is told to end, the lock is free. */
async function endsWith(t: ExecutionContext, root: string, file: string): Promise<void> {
  await isHeld(t, root)
  await writeFile(file, '')
  await hold(t, root)
}

onUnix('SIGTERM ends the command, and its children keep the lock', async (t) => {
  const root = await temporaryRoot(t)
  const { file, line } = leaves(t, root, 'wait')
  const wrapped = command(t, 'run', root, '--', ...line)
  await wrapped.prints('ready')
  wrapped.kill('SIGTERM')
  t.deepEqual(await wrapped.ends(), { code: null, signal: 'SIGTERM' })
  t.regex(wrapped.printed, /processes that it started still hold the lock of /)
  await endsWith(t, root, file)
})

onUnix('SIGTERM to a Node program such as npm leaves the lock with its children', async (t) => {
  const root = await temporaryRoot(t)
  const { file, line } = leaves(t, root, 'wait')
  const script = `require('child_process').spawn(process.argv[1], process.argv.slice(2), { stdio: 'inherit' })`
  const wrapped = command(t, 'run', root, '--', ...node(script, '--', ...line))
  await wrapped.prints('ready')
  wrapped.kill('SIGTERM')
  await inTime('the run ends', once(wrapped.process, 'exit'))
  await endsWith(t, root, file)
})

onUnix('SIGKILL ends the run, and the command keeps the lock', async (t) => {
  const root = await temporaryRoot(t)
  const { file, line } = leaves(t, root, 'wait')
  const wrapped = command(t, 'run', root, '--', ...line)
  await wrapped.prints('ready')
  wrapped.kill('SIGKILL')
  await inTime('the run ends', once(wrapped.process, 'exit'))
  await endsWith(t, root, file)
})

onUnix('SIGKILL of a waiting run leaves nobody behind who keeps the lock', async (t) => {
  const root = await temporaryRoot(t)
  const unlock = await hold(t, root)
  const waits = command(t, 'run', root, '--', ...node('0'))
  await waits.prints('waiting for')
  waits.kill('SIGKILL')
  // Its keeper has its errors, and with its end they end.
  await waits.ends()
  await unlock()
  // Its keeper may be granted it before it hears that the run is gone, and gives it back.
  await t.notThrowsAsync(hold(t, root))
})

onUnix('SIGKILL of the keeper is reported as a loss', async (t) => {
  const root = await temporaryRoot(t)
  const preempted = command(t, 'run', root, '--', ...untilTold)
  await preempted.prints('ready')
  const { holder } = await inspect(root)
  process.kill(holder!.pid, 'SIGKILL')
  t.is((await preempted.ends()).code, 76)
  t.regex(preempted.printed, /lock was lost: the process that held it, pid \d+, has ended/)
})

onUnix(
  'a command that leaves something running ends at once, and what is left keeps the lock',
  async (t) => {
    const root = await temporaryRoot(t)
    const { file, line } = leaves(t, root, 'exit 3')
    const { code, err } = await run(t, 'run', root, '--', ...line)
    t.is(code, 3)
    t.regex(err, /^rootlock: the command has ended, but processes that it started still hold/)
    await endsWith(t, root, file)
  }
)

onUnix('after a loss, nothing left running is said to keep the lock', async (t) => {
  const root = await temporaryRoot(t)
  const { line } = leaves(t, root, 'wait')
  const wrapped = command(t, 'run', root, '--', ...line)
  await wrapped.prints('ready')
  await writeFile(join(root, 'other'), '')
  await rename(join(root, 'other'), join(root, '.lock'))
  t.is((await wrapped.ends()).code, 76)
  t.regex(wrapped.printed, /lock was lost/)
  t.notRegex(wrapped.printed, /keeps the lock of/)
})

onUnix('run --quiet does not report that the lock is still held', async (t) => {
  const root = await temporaryRoot(t)
  const { file, line } = leaves(t, root, 'exit 3')
  const { code, err } = await run(t, 'run', '-q', root, '--', ...line)
  t.deepEqual([code, err], [3, ''])
  await endsWith(t, root, file)
})

onUnix('with run --close, what the command leaves running does not keep the lock', async (t) => {
  for (const option of ['--close', '-o']) {
    const root = await temporaryRoot(t)
    const { line } = leaves(t, root, 'exit 3')
    const { code, err } = await run(t, 'run', option, root, '--', ...line)
    t.deepEqual([code, err], [3, ''])
    await hold(t, root, { wait: false })
  }
})

test('if nothing is left running, the lock is free as soon as the command has ended', async (t) => {
  const root = await temporaryRoot(t)
  for (let times = 0; times < 5; times++) {
    const { code, err } = await run(t, 'run', '-n', root, '--', ...node('0'))
    t.deepEqual([code, err], [0, ''])
  }
})

onLinux(
  'a command that closes all inherited descriptors keeps the lock while it runs',
  async (t) => {
    const root = await temporaryRoot(t)
    const script = `const fs = require('fs')
    for (let fd = 25; fd < 256; fd++) try { fs.closeSync(fd) } catch {}
    console.log("ready")
    process.stdin.on("end", () => process.exit(5)).resume()`
    const wrapped = command(t, 'run', root, '--', ...node(script))
    await wrapped.prints('ready')
    await isHeld(t, root)
    wrapped.process.stdin!.end()
    t.is((await wrapped.ends()).code, 5)
    await hold(t, root, { wait: false })
  }
)

onLinux('descriptors that the run was given are passed on to the command', async (t) => {
  const root = await temporaryRoot(t)
  const line = rootlock('run', root, '--', 'sh', '-c', 'read word <&3; echo "word $word" >&5')
  const given = program(t, line[0]!, line.slice(1), [
    'pipe',
    'pipe',
    'pipe',
    'pipe',
    'ignore',
    'pipe'
  ])
  const [, , , words, , told] = given.process.stdio as unknown as NodeJS.ReadWriteStream[]
  words!.write('seven\n')
  const [text] = (await inTime('it is told', once(told!, 'data'))) as [Buffer]
  t.is(String(text), 'word seven\n')
  t.is((await given.ends()).code, 0)
})

onLinux(
  'a file and one end of a pipe, opened by a shell, are passed on to the command',
  async (t) => {
    const root = await temporaryRoot(t)
    const file = join(root, 'words')
    await writeFile(file, 'one\n')
    const script = `echo two | "$@" 4<"$0" 3<&0 </dev/null`
    const work = ['sh', '-c', 'cat <&4; cat <&3']
    const given = program(t, 'sh', ['-c', script, file, ...rootlock('run', root, '--', ...work)])
    t.is((await given.ends()).code, 0)
    t.is(given.printed, 'one\ntwo\n')
  }
)

onProcessor('nothing that Node opens for itself is passed on to the command', async (t) => {
  const root = await temporaryRoot(t)
  const list = ['sh', '-c', 'for f in /proc/self/fd/*; do readlink $f; done']
  const kinds = async (line: string[]) => {
    const lists = program(t, line[0]!, line.slice(1))
    await lists.ends()
    return lists.printed.replaceAll(/\d+/g, '').split('\n').toSorted()
  }
  const line = 'socket:[]'
  t.deepEqual(
    await kinds(rootlock('run', root, '--', ...list)),
    [...(await kinds(list)), line].toSorted()
  )
})

withMake('the jobserver of make is passed on to the command', async (t) => {
  const root = await temporaryRoot(t)
  const line = rootlock('run', root, '--').join(' ')
  await writeFile(join(root, 'Makefile'), `all:\n\t+@${line} $(MAKE) -f below\n`)
  await writeFile(join(root, 'below'), 'all: a b\na b:\n\t@echo $@\n')
  const make = program(t, 'make', ['-j2'], 'pipe', { cwd: root })
  t.is((await make.ends()).code, 0)
  t.notRegex(make.printed, /jobserver/)
})
