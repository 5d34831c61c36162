// The system resolves paths. Where a link leads elsewhere, `link/..` is not what its text says.

import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import {
  mkdir,
  readdir,
  readFile,
  realpath,
  rename,
  rm,
  symlink,
  writeFile
} from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'

import test, { type ExecutionContext } from 'ava'
import { inspect, openRoot, tryLock, withLock, type FailMessage, type LockError } from 'rootlock'

import { program } from '../helpers/child.mjs'
import { rootlock } from '../helpers/command.mjs'
import { hold } from '../helpers/locks.mjs'
import { namespaces, needing, superuser, unix } from '../helpers/needing.mjs'
import { temporaryRoot } from '../helpers/temporary-root.mjs'

// Windows itself resolves `..` as text. And the current directory is the whole process's.
const onUnix = needing(test.serial, unix)

const FILES = ['.lock', '.lock.guard']

/** `here/link` leads to `there/data`: `link/..` is `there`. */
async function linked(t: ExecutionContext) {
  const folder = await realpath(await temporaryRoot(t))
  const [here, there] = [join(folder, 'here'), join(folder, 'there')]
  await mkdir(here)
  await mkdir(join(there, 'data'), { recursive: true })
  await symlink(join(there, 'data'), join(here, 'link'))
  return { folder, here, there }
}

function enter(t: ExecutionContext, directory: string): void {
  const home = process.cwd()
  t.teardown(() => process.chdir(home))
  process.chdir(directory)
}

onUnix('a relative path resolves as it does in fs, even with `..` behind a link', async (t) => {
  const { here, there } = await linked(t)
  enter(t, here)
  for (const path of ['link/..', './link/..', 'link/../', 'link/../.', 'link/../data/..']) {
    await writeFile(`${path}/marker`, path)
    t.is(await readFile(join(there, 'marker'), 'utf8'), path)
    const unlock = await tryLock(path)
    await t.throwsAsync(tryLock(there, { wait: false }), { message: /^store is locked/ })
    t.is((await inspect(path)).state, 'exclusive')
    t.is((await inspect(there)).state, 'exclusive')
    await unlock()
    await withLock(path, async () => {
      t.is((await inspect(there)).state, 'exclusive')
    })
    const root = await openRoot(path)
    await hold(t, root).then((held) => held())
    await root.close()
  }
  t.deepEqual(await readdir(here), ['link'], 'nothing is made where the text leads')
  t.deepEqual((await readdir(there)).toSorted(), [...FILES, 'data', 'marker'])
})

onUnix('a relative and an absolute path of one directory are one lock', async (t) => {
  const { here } = await linked(t)
  enter(t, here)
  await hold(t, join(here, 'link') + '/..')
  await t.throwsAsync(tryLock('link/..', { wait: false }), { message: /^store is locked/ })
})

onUnix('a path in messages leads to the lock file', async (t) => {
  const { here, there } = await linked(t)
  enter(t, here)
  const failures: FailMessage[] = []
  const onFail = (message: unknown) => void failures.push(message as FailMessage)
  subscribe('rootlock:fail', onFail)
  t.teardown(() => unsubscribe('rootlock:fail', onFail))
  const root = await openRoot('link/..')
  t.deepEqual((await readdir(root.path)).toSorted(), ['data'])
  const unlock = await hold(t, root)
  const held = await t.throwsAsync<LockError>(tryLock('link/..', { wait: false }))
  const later = new AbortController()
  const waiting = tryLock('link/..', { signal: later.signal, onWait: () => later.abort() })
  const aborted = await t.throwsAsync<LockError>(waiting)
  await writeFile(join(there, '.lock'), 'of there')
  for (const { path } of [held, aborted, ...failures]) {
    t.is(await readFile(path, 'utf8'), 'of there', path)
  }
  t.is(failures.length, 2)
  await unlock()
  await rm(join(there, '.lock'))
  await mkdir(join(there, '.lock'))
  const refused = await t.throwsAsync<LockError>(tryLock('link/..'))
  t.deepEqual(await readdir(refused.path), [])
  t.is((refused.cause as NodeJS.ErrnoException).path, refused.path)
})

onUnix('the command names the lock file that the system resolves', async (t) => {
  const { here, there } = await linked(t)
  const run = async (...args: string[]) => {
    const [node, ...line] = rootlock(...args)
    const started = program(t, node!, line, 'pipe', { cwd: here })
    t.is((await started.ends()).code, 0, started.printed)
    return started.printed
  }
  await run('run', 'link/..', '--', process.execPath, '-e', '0')
  t.deepEqual((await readdir(there)).toSorted(), [...FILES, 'data'])
  await writeFile(join(there, '.lock'), 'of there')
  const { path } = JSON.parse(await run('status', '--json', 'link/..')) as { path: string }
  t.is(await readFile(path, 'utf8'), 'of there', path)
  await run('doctor', 'link/..')
  t.deepEqual(await readdir(here), ['link'], 'the doctor leaves nothing')
  t.deepEqual((await readdir(there)).toSorted(), [...FILES, 'data'], 'the doctor leaves nothing')
})

onUnix('the doctor checks the lock files that the system resolves', async (t) => {
  const { here, there } = await linked(t)
  await mkdir(join(there, '.lock'))
  const [node, ...line] = rootlock('doctor', 'link/..')
  const doctor = program(t, node!, line, 'pipe', { cwd: here })
  t.is((await doctor.ends()).code, 1, doctor.printed)
  t.regex(doctor.printed, /^fail {2}link\/\.\.\/\.lock is not a regular file/m)
})

onUnix('a relative path begins at the current directory even after that was renamed', async (t) => {
  const { folder, here } = await linked(t)
  await mkdir(join(here, 'store'))
  enter(t, here)
  // Node caches its old name.
  t.true(process.cwd().endsWith('here'))
  const moved = join(folder, 'moved')
  await rename(here, moved)
  await mkdir(join(here, 'store'), { recursive: true })
  await hold(t, 'store')
  await hold(t, '.')
  t.deepEqual((await readdir(join(moved, 'store'))).toSorted(), FILES)
  t.deepEqual((await readdir(moved)).toSorted(), [...FILES, 'link', 'store'])
  t.deepEqual(await readdir(here), ['store'])
})

onUnix('a current directory that was removed can not be locked', async (t) => {
  const { here } = await linked(t)
  enter(t, here)
  t.true(process.cwd().endsWith('here'))
  await rm(here, { recursive: true })
  await mkdir(join(here, 'store'), { recursive: true })
  await t.throwsAsync(tryLock('store'), { message: /ENOENT/ })
  await t.throwsAsync(tryLock('.'), { message: /ENOENT/ })
  t.deepEqual(await readdir(join(here, 'store')), [])
})

onUnix('a path in messages is as short as possible without resolving it', async (t) => {
  const folder = await realpath(await temporaryRoot(t))
  await mkdir(join(folder, 'store'))
  enter(t, folder)
  const cases = {
    '.': folder,
    './': folder,
    './.': folder,
    './/store': `${folder}/store`,
    './store/': `${folder}/store/`,
    '..': `${folder}/..`,
    './..': `${folder}/..`,
    'store/..': `${folder}/store/..`
  }
  for (const [path, told] of Object.entries(cases)) {
    const root = await openRoot(path)
    t.is(root.path, told, path)
    await root.close()
  }
  const error = await t.throwsAsync<LockError>(tryLock('./missing/'))
  t.is(error.path, `${folder}/missing/`)
  enter(t, '/')
  t.is((await t.throwsAsync<LockError>(tryLock('missing-here'))).path, '/missing-here')
})

test('an empty path is refused, and a file: URL is what Node makes of it', async (t) => {
  await t.throwsAsync(tryLock(''), { code: 'ERR_LOCK_UNSUCCESSFUL', message: /ENOENT/ })
  const root = await temporaryRoot(t)
  const url = new URL(`${pathToFileURL(root).href}/x/../`)
  await hold(t, url)
  t.deepEqual((await readdir(fileURLToPath(url))).toSorted(), FILES)
})

needing(
  test,
  superuser,
  namespaces
)('a relative path begins where the process is, not at what that is called', async (t) => {
  const folder = await realpath(await temporaryRoot(t))
  const root = join(folder, 'root')
  await mkdir(root)
  // Another directory is mounted over the one that the process is in.
  const script = `cd ${root} && mount -t tmpfs none ${root} && exec "$@"`
  const inside = program(t, 'unshare', [
    '--mount',
    'sh',
    '-c',
    script,
    'sh',
    process.execPath,
    '--input-type=module',
    '-e',
    `const { tryLock } = await import(${JSON.stringify(import.meta.resolve('rootlock'))})
     const { readdirSync } = await import('node:fs')
     await tryLock('.')
     console.log(readdirSync('.').toSorted().join(), readdirSync(${JSON.stringify(root)}).join())`
  ])
  await inside.prints('\n')
  t.is(inside.printed.trim(), '.lock,.lock.guard')
})
