import { chmod, mkdir, readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

import test from 'ava'

import { child, program } from './helpers/child.mjs'
import { rootlock, run } from './helpers/command.mjs'
import { linux, namespaces, needing, superuser, unix } from './helpers/needing.mjs'
import { temporaryRoot } from './helpers/temporary-root.mjs'

const asSuperuser = needing(test, unix, superuser)
const withMounts = needing(test, linux, superuser, namespaces)

test('the doctor finds a directory well by trying with two processes, and leaves nothing', async (t) => {
  const root = await temporaryRoot(t)
  const { code, out, err } = await run(t, 'doctor', root)
  t.is(code, 0, out)
  t.is(err, '')
  t.regex(out, /^ok {4}rootlock \d.*, Node /m)
  t.regex(out, /^ok {4}a second process is kept out, and is told by whom$/m)
  t.regex(out, /^ok {4}who waits gets it when it is unlocked \(/m)
  t.regex(out, /^ok {4}who waits gets it when its holder is killed \(/m)
  t.notRegex(out, /^(warn|fail)/m)
  t.regex(out, /\nThis directory can be locked\.\n$/)
  t.deepEqual(await readdir(root), [])
})

test('the doctor does not disturb a lock that is held, and says by whom', async (t) => {
  const root = await temporaryRoot(t)
  const holder = child(t, 'holder', { root })
  await holder.says('held')
  const { code, out } = await run(t, 'doctor', root)
  t.is(code, 0, out)
  t.regex(out, new RegExp(`^ok {4}pid ${holder.pid} \\(node(\\.exe)? .*has the lock now$`, 'm'))
  t.deepEqual((await readdir(root)).toSorted(), ['.lock', '.lock.guard'])
})

test('the doctor says what is wrong with a directory that is none', async (t) => {
  const root = await temporaryRoot(t)
  const missing = await run(t, 'doctor', join(root, 'missing'))
  t.is(missing.code, 1)
  t.regex(missing.out, /^fail {2}ENOENT.*\n {6}.*mkdir -p /m)
  await writeFile(join(root, 'file'), '')
  const file = await run(t, 'doctor', join(root, 'file'))
  t.is(file.code, 1)
  t.regex(file.out, /^fail {2}.*is not a directory\n {6}\S/m)
})

test('the doctor finds what is not a file in the place of the lock', async (t) => {
  const root = await temporaryRoot(t)
  await mkdir(join(root, '.lock'))
  const { code, out } = await run(t, 'doctor', root)
  t.is(code, 1)
  t.regex(out, /^fail {2}.*\.lock is not a regular file\n {6}\S/m)
})

asSuperuser('the doctor finds files of another user', async (t) => {
  const root = await temporaryRoot(t)
  await chmod(root, 0o777)
  await writeFile(join(root, '.lock'), '', { mode: 0o600 })
  const nobody = program(t, 'setpriv', [
    '--reuid=65534',
    '--clear-groups',
    ...rootlock('doctor', root)
  ])
  t.is((await nobody.ends()).code, 1, nobody.printed)
  t.regex(nobody.printed, /^fail {2}EACCES.*\n {6}It belongs to whoever locked first/m)
})

asSuperuser('the doctor finds a directory that one is not let into', async (t) => {
  const root = await temporaryRoot(t)
  await chmod(root, 0o700)
  const line = ['--reuid=65534', '--clear-groups', ...rootlock('doctor', root)]
  const nobody = program(t, 'setpriv', line)
  t.is((await nobody.ends()).code, 1, nobody.printed)
  t.regex(nobody.printed, /^fail {2}.*EACCES.*\n {6}Whoever locks it has to be let in/m)
  t.notRegex(nobody.printed, / at .*\.js:/, 'no stack')
})

withMounts('the doctor finds a directory read-only, and tries nothing there', async (t) => {
  const root = await temporaryRoot(t)
  const script = 'mount -t tmpfs -o ro none "$0" && exec "$@"'
  const line = ['--mount', 'sh', '-c', script, root, ...rootlock('doctor', root)]
  const there = program(t, 'unshare', line)
  t.is((await there.ends()).code, 1, there.printed)
  t.regex(there.printed, /^ok {4}tmpfs: /m)
  t.regex(
    there.printed,
    /^fail {2}no file can be made in it: EROFS.*\n {6}It is mounted read-only/m
  )
  t.regex(there.printed, /^warn {2}clock and locks were not tried/m)
})
