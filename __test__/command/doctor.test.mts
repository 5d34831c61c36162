import { execFileSync } from 'node:child_process'
import {
  chmod,
  copyFile,
  link,
  mkdir,
  readFile,
  readdir,
  symlink,
  truncate,
  writeFile
} from 'node:fs/promises'
import { join } from 'node:path'
import { setImmediate as turn } from 'node:timers/promises'

import test from 'ava'

import { child, program } from '../helpers/child.mjs'
import { command, rootlock, run } from '../helpers/command.mjs'
import { eventually } from '../helpers/eventually.mjs'
import { linux, namespaces, needing, onPath, superuser, unix } from '../helpers/needing.mjs'
import { temporaryRoot } from '../helpers/temporary-root.mjs'

const onLinux = needing(test, linux)
const onUnix = needing(test, unix)
const withFifo = needing(test, unix, onPath('mkfifo'))
const asSuperuser = needing(test, unix, superuser)
const withMounts = needing(test, linux, superuser, namespaces)

test('the doctor approves a directory after a trial with two processes, and leaves nothing', async (t) => {
  const root = await temporaryRoot(t)
  const { code, out, err } = await run(t, 'doctor', root)
  t.is(code, 0, out)
  t.is(err, '')
  t.regex(out, /^ok {4}rootlock \d.*, Node /m)
  t.regex(
    out,
    /^ok {4}a second process can't acquire a held lock, and the error names the holder$/m
  )
  t.regex(out, /^ok {4}a waiter acquires the lock when it is unlocked \(/m)
  t.regex(out, /^ok {4}a waiter acquires the lock when its holder is killed \(/m)
  t.notRegex(out, /^(warn|fail)/m)
  t.regex(out, /\nThis directory can be locked\.\n$/)
  t.deepEqual(await readdir(root), [])
})

test('the doctor does not disturb a held lock, and names the holder', async (t) => {
  const root = await temporaryRoot(t)
  const holder = child(t, 'holder', { root })
  await holder.says('held')
  const { code, out } = await run(t, 'doctor', root)
  t.is(code, 0, out)
  t.regex(out, new RegExp(`^ok {4}pid ${holder.pid} \\(node(\\.exe)? .*holds the lock$`, 'm'))
  t.deepEqual((await readdir(root)).toSorted(), ['.lock', '.lock.guard'])
})

test('the doctor says what is wrong with a path that is no directory', async (t) => {
  const root = await temporaryRoot(t)
  const missing = await run(t, 'doctor', join(root, 'missing'))
  t.is(missing.code, 1)
  t.regex(missing.out, /^fail {2}ENOENT.*\n {6}.*mkdir -p /m)
  await writeFile(join(root, 'file'), '')
  const file = await run(t, 'doctor', join(root, 'file'))
  t.is(file.code, 1)
  t.regex(file.out, /^fail {2}.*is not a directory\n {6}\S/m)
})

test('the doctor reports anything but a file in the place of the lock', async (t) => {
  const root = await temporaryRoot(t)
  await mkdir(join(root, '.lock'))
  const { code, out } = await run(t, 'doctor', root)
  t.is(code, 1)
  t.regex(out, /^fail {2}.*\.lock is not a regular file\n {6}\S/m)
})

asSuperuser('the doctor reports files of another user', async (t) => {
  const root = await temporaryRoot(t)
  await chmod(root, 0o777)
  await writeFile(join(root, '.lock'), '', { mode: 0o600 })
  const nobody = program(t, 'setpriv', [
    '--reuid=65534',
    '--clear-groups',
    ...rootlock('doctor', root)
  ])
  t.is((await nobody.ends()).code, 1, nobody.printed)
  t.regex(nobody.printed, /^fail {2}EACCES.*\n {6}It belongs to the user who locked first/m)
})

asSuperuser('the doctor reports a directory that can not be entered', async (t) => {
  const root = await temporaryRoot(t)
  await chmod(root, 0o700)
  const line = ['--reuid=65534', '--clear-groups', ...rootlock('doctor', root)]
  const nobody = program(t, 'setpriv', line)
  t.is((await nobody.ends()).code, 1, nobody.printed)
  t.regex(nobody.printed, /^fail {2}.*EACCES.*\n {6}A lock needs access to the directory/m)
  t.notRegex(nobody.printed, / at .*\.js:/, 'no stack')
})

withMounts('the doctor reports a read-only directory, and tries nothing there', async (t) => {
  const root = await temporaryRoot(t)
  const script = 'mount -t tmpfs -o ro none "$0" && exec "$@"'
  const line = ['--mount', 'sh', '-c', script, root, ...rootlock('doctor', root)]
  const there = program(t, 'unshare', line)
  t.is((await there.ends()).code, 1, there.printed)
  t.regex(there.printed, /^ok {4}tmpfs: /m)
  t.regex(
    there.printed,
    /^fail {2}no file can be created in it: EROFS.*\n {6}It is mounted read-only/m
  )
  t.regex(there.printed, /^warn {2}the clock and the locks were not tested/m)
})

withMounts('on a full disk the doctor and a run say that it is full', async (t) => {
  const root = await temporaryRoot(t)
  // Room for the directory itself and nothing more.
  const script = 'mount -t tmpfs -o nr_inodes=1 none "$0" && exec "$@"'
  const onFull = (line: string[]) =>
    program(t, 'unshare', ['--mount', 'sh', '-c', script, root, ...line])
  const doctor = onFull(rootlock('doctor', root))
  t.is((await doctor.ends()).code, 1, doctor.printed)
  t.regex(doctor.printed, /^fail {2}.*ENOSPC.*\n {6}The disk is full/m)
  t.notRegex(doctor.printed, /Locks do not work here/)
  const locks = onFull(rootlock('run', root, '--', 'true'))
  t.is((await locks.ends()).code, 69, locks.printed)
  t.regex(locks.printed, /ENOSPC.*\n {2}The disk is full/)
})

withMounts('where only some files fit, the trial says that the disk is full', async (t) => {
  const root = await temporaryRoot(t)
  // The directory, the file for the clock, and the lock file, but not its guard.
  const script = 'mount -t tmpfs -o nr_inodes=2 none "$0" && exec "$@"'
  const line = ['--mount', 'sh', '-c', script, root, ...rootlock('doctor', root)]
  const there = program(t, 'unshare', line)
  t.is((await there.ends()).code, 1, there.printed)
  t.regex(there.printed, /^fail {2}.*ENOSPC.*\n {6}The disk is full/m)
  t.notRegex(there.printed, /Locks do not work here/)
})

onLinux(
  'the doctor reports a lock file that can not be opened despite its permissions',
  async (t) => {
    const root = await temporaryRoot(t)
    // Nobody may write to a program that is running.
    await copyFile('/bin/sleep', join(root, '.lock'))
    await chmod(join(root, '.lock'), 0o755)
    program(t, join(root, '.lock'), ['600'])
    const { code, out } = await run(t, 'doctor', root)
    t.is(code, 1, out)
    t.regex(out, /^fail {2}ETXTBSY.*\n {6}A lock opens it for reading and writing/m)
  }
)

test('the doctor reports a lock file with a second hard link', async (t) => {
  const root = await temporaryRoot(t)
  await writeFile(join(root, 'app.conf'), '')
  await link(join(root, 'app.conf'), join(root, '.lock.guard'))
  const { code, out } = await run(t, 'doctor', root)
  t.is(code, 1)
  t.regex(out, /^fail {2}.*\.lock\.guard has 2 names \(hard links\)\n {6}\S/m)
})

test('the doctor reports a guard that is somebody else’s file, and leaves it alone', async (t) => {
  const root = await temporaryRoot(t)
  await writeFile(join(root, 'app.guard'), 'rules of the guard')
  const { code, out } = await run(t, 'doctor', '--file-name', 'app', root)
  t.is(code, 1, out)
  t.regex(out, /^fail {2}.*EINVAL: it has content .*app\.guard'\n {6}\S/m)
  t.deepEqual(await readdir(root), ['app.guard'])
  t.is(await readFile(join(root, 'app.guard'), 'utf8'), 'rules of the guard')
})

test('the doctor warns of a lock file with content', async (t) => {
  const root = await temporaryRoot(t)
  await writeFile(join(root, 'data.json'), '{}')
  const { code, out } = await run(t, 'doctor', '--file-name', 'data.json', root)
  t.is(code, 0, out)
  t.regex(out, /^warn {2}.*data\.json has content.*\n {6}\S/m)
})

test('the doctor checks the lock file named by --file, and no other', async (t) => {
  const root = await temporaryRoot(t)
  await mkdir(join(root, 'app.lock'))
  t.is((await run(t, 'doctor', root)).code, 0)
  const { code, out } = await run(t, 'doctor', '--file-name', 'app.lock', root)
  t.is(code, 1)
  t.regex(out, /^fail {2}.*app\.lock is not a regular file$/m)
  t.is((await run(t, 'doctor', '--file-name', 'a/b', root)).code, 64)

  const holder = child(t, 'holder', { root, options: { fileName: 'other.lock' } })
  await holder.says('held')
  const other = await run(t, 'doctor', '--file-name', 'other.lock', root)
  t.regex(other.out, new RegExp(`^ok {4}pid ${holder.pid} \\(.*holds the lock$`, 'm'))
  t.regex((await run(t, 'doctor', root)).out, /^ok {4}the lock is free$/m)
})

onUnix('a doctor ended by a signal dies of it, and removes what it has created', async (t) => {
  const root = await temporaryRoot(t)
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) {
    await eventually(`${signal} comes before the doctor has ended`, async () => {
      const doctor = command(t, 'doctor', root)
      const over = () => doctor.process.exitCode !== null
      while (!over() && (await readdir(root)).length === 0) await turn()
      doctor.kill(signal)
      const how = await doctor.ends()
      t.deepEqual(await readdir(root), [])
      t.notRegex(doctor.printed, /^fail/m)
      return how.signal === signal
    })
  }
})

withFifo('the doctor opens no FIFO in the place of any file of the lock', async (t) => {
  for (const name of ['.lock', '.lock.guard', '.lock.next']) {
    const root = await temporaryRoot(t)
    execFileSync('mkfifo', [join(root, name)])
    const { code, out } = await run(t, 'doctor', root)
    t.is(code, 1, out)
    t.true(out.includes(`${name} is not a regular file\n      See what it is`), out)
    t.deepEqual(await readdir(root), [name])
  }
})

test('the doctor reads no guard that is too large to be one', async (t) => {
  const root = await temporaryRoot(t)
  await writeFile(join(root, '.lock.guard'), '')
  // Sparse: it takes no space, but a copy would be read to its end.
  await truncate(join(root, '.lock.guard'), 1024 ** 3)
  const { code, out } = await run(t, 'doctor', root)
  t.is(code, 1, out)
  t.regex(out, /^fail {2}.*\.lock\.guard has 1073741824 bytes: it is not a guard.*\n {6}\S/m)
  t.deepEqual(await readdir(root), ['.lock.guard'])
})

onUnix('the doctor reports what no takeover makes in the temporary file’s place', async (t) => {
  for (const [make, says] of [
    [(path: string) => mkdir(path), 'is not a regular file'],
    [(path: string) => symlink('nowhere', path), 'is not a regular file'],
    [(path: string) => writeFile(path, 'notes'), 'has content'],
    [(path: string) => writeFile(path, ''), undefined]
  ] as [(path: string) => Promise<void>, string | undefined][]) {
    const root = await temporaryRoot(t)
    await make(join(root, '.lock.next'))
    const { code, out } = await run(t, 'doctor', root)
    t.is(code, says === undefined ? 0 : 1, out)
    t.true(says === undefined || out.includes(`.lock.next ${says}`), out)
    t.deepEqual(await readdir(root), ['.lock.next'])
  }
})
