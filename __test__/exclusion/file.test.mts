import {
  mkdir,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  symlink,
  utimes,
  writeFile
} from 'node:fs/promises'
import { realpathSync } from 'node:fs'
import { join, relative, sep } from 'node:path'
import { pathToFileURL } from 'node:url'

import test, { type ExecutionContext } from 'ava'
import {
  file,
  inspect,
  inspectSync,
  openRoot,
  tryLock,
  tryLockSync,
  tryRLock,
  withLock,
  type Lockable,
  type LockError
} from 'rootlock'

import { needing, unix } from '../helpers/needing.mjs'
import { temporaryRoot } from '../helpers/temporary-root.mjs'

const HELD = { code: 'ERR_LOCK_UNSUCCESSFUL', message: /^store is locked by/ }

/** The second is held while the first is, by whatever call. */
async function sameLock(t: ExecutionContext, one: Lockable, other: Lockable, what?: string) {
  const unlock = await tryLock(one)
  await t.throwsAsync(tryLock(other, { timeoutMs: 0 }), HELD, what)
  t.throws(() => tryLockSync(other), HELD, what)
  t.is((await inspect(other)).state, 'exclusive', what)
  t.is(inspectSync(other).state, 'exclusive', what)
  await unlock()
  t.is(await withLock(other, () => inspectSync(one).state), 'exclusive', what)
}

test('a file has a lock beside it, and is not touched', async (t) => {
  const root = await temporaryRoot(t)
  const path = join(root, 'data.json')
  await writeFile(path, '{}', { mode: 0o444 })
  await utimes(path, 1, 1)
  const before = await stat(path, { bigint: true })
  const data = file(path)
  t.deepEqual(await readdir(root), ['data.json'], 'naming it creates nothing')
  const real = realpathSync(root)
  t.like(data, { path: join(real, 'data.json'), directory: real, fileName: 'data.json.lock' })
  const unlock = await tryLock(data)
  const names = ['data.json', 'data.json.lock', 'data.json.lock.guard']
  t.deepEqual((await readdir(root)).toSorted(), names)
  await unlock()
  const after = await stat(path, { bigint: true })
  t.is(after.ctimeNs, before.ctimeNs)
  t.is(after.ino, before.ino)
  t.is(await readFile(path, 'utf8'), '{}')
})

test('the lock of a file is the one of that name in its directory, and no other', async (t) => {
  const root = await temporaryRoot(t)
  await writeFile(join(root, 'one'), '')
  const unlock = await tryLock(root, { fileName: 'one.lock' })
  await t.throwsAsync(tryLock(file(join(root, 'one')), { wait: false }), HELD)
  await (
    await tryLock(file(join(root, 'two')))
  )()
  await (
    await tryLock(root)
  )()
  await unlock()
})

needing(test, unix)('all paths to a file lead to one lock, whether it exists or not', async (t) => {
  const root = await temporaryRoot(t)
  const [real, links] = [join(root, 'real'), join(root, 'links')]
  await mkdir(real)
  await mkdir(links)
  await symlink('real', join(root, 'directory'))
  await symlink('../real/data', join(links, 'relative'))
  await symlink(join(real, 'data'), join(links, 'absolute'))
  await symlink('relative', join(links, 'again'))
  const path = join(real, 'data')
  const paths = () => [
    path,
    pathToFileURL(path),
    relative('.', path),
    join(root, 'directory', 'data'),
    `${root}/directory/../real/./data`,
    `${root}//real///data`,
    join(links, 'relative'),
    join(links, 'absolute'),
    join(links, 'again')
  ]
  const missing = paths().map((each) => file(each))
  for (const other of missing) t.deepEqual({ ...other }, { ...missing[0]! })
  await writeFile(path, '')
  for (const other of paths()) await sameLock(t, missing[0]!, file(other), String(other))
})

test('a file may be replaced and removed while its lock is held', async (t) => {
  const root = await temporaryRoot(t)
  const path = join(root, 'data.json')
  await withLock(file(path), async (signal) => {
    await writeFile(`${path}.new`, 'new')
    await rename(`${path}.new`, path)
    await t.throwsAsync(tryLock(file(path), { wait: false }), HELD)
    await rm(path)
    await t.throwsAsync(tryRLock(file(path), { wait: false }), HELD)
    t.false(signal.aborted)
  })
})

test('what is no file is refused, with what the system says', async (t) => {
  const root = await temporaryRoot(t)
  await mkdir(join(root, 'directory'))
  await writeFile(join(root, 'file'), '')
  for (const [path, code] of [
    [join(root, 'directory'), 'EISDIR'],
    [`${root}${sep}`, 'EISDIR'],
    ['/', 'EISDIR'],
    ['.', 'EISDIR'],
    ['', 'ENOENT'],
    [join(root, 'missing', 'file'), 'ENOENT'],
    [`${join(root, 'missing')}${sep}`, 'ENOENT'],
    // Windows resolves them as text: the root, and a file that does not exist.
    ...(process.platform === 'win32'
      ? []
      : ([
          [`${root}/missing/..`, 'ENOENT'],
          [`${root}/missing/.`, 'ENOENT']
        ] as const))
  ] as const) {
    const error = t.throws<LockError>(
      () => file(path),
      { code: 'ERR_LOCK_UNSUCCESSFUL', message: new RegExp(`^could not lock store: ${code}: `) },
      path
    )
    t.is(error.reason, 'system')
    t.like(error.cause, { code }, path)
  }
  t.deepEqual((await readdir(root)).toSorted(), ['directory', 'file'])
})

needing(test, unix)('links that lead in a circle, or through a file, are refused', async (t) => {
  const root = await temporaryRoot(t)
  await symlink('b', join(root, 'a'))
  await symlink('a', join(root, 'b'))
  await writeFile(join(root, 'file'), '')
  await symlink('nowhere/at/all', join(root, 'dangling'))
  for (const [path, code] of [
    ['a', 'ELOOP'],
    ['file/x', 'ENOTDIR'],
    ['file/', 'ENOTDIR'],
    ['dangling', 'ENOENT']
  ] as const) {
    const error = t.throws<LockError>(() => file(`${root}/${path}`), undefined, path)
    t.like(error.cause, { code }, path)
  }
})

test('a wrong argument is refused in Node’s own words', async (t) => {
  for (const path of [undefined, null, 1, {}, Buffer.from('x')] as never[]) {
    t.throws(() => file(path), {
      instanceOf: TypeError,
      code: 'ERR_INVALID_ARG_TYPE',
      message: /^The "path" argument must be of type string or a file: URL\. Received /
    })
  }
  const root = await temporaryRoot(t)
  for (const path of [
    new URL('https://example.org/x'),
    'x\0',
    join(root, 'x'.repeat(236)),
    join(root, 'a:b')
  ]) {
    t.throws(() => file(path), {
      instanceOf: RangeError,
      code: 'ERR_OUT_OF_RANGE',
      message: /^The value of "path" is out of range\./
    })
  }
  await t.throwsAsync(tryLock(file(join(root, 'x')), { fileName: 'y' }), {
    instanceOf: TypeError,
    code: 'ERR_INVALID_ARG_VALUE',
    message: /^The property 'options\.fileName' must not be given beside a file\. Received 'y'/
  })
  await t.throwsAsync(openRoot(file(join(root, 'x')) as never), { code: 'ERR_INVALID_ARG_TYPE' })
  t.deepEqual(await readdir(root), [])
})

test('who names a file as a directory is told of file()', async (t) => {
  const root = await temporaryRoot(t)
  const path = join(root, "it's.json")
  const quoted = JSON.stringify(path)
  await writeFile(path, '')
  for (const call of [
    async () => tryLock(path),
    async () => tryLockSync(path),
    async () => openRoot(path)
  ]) {
    const error = await t.throwsAsync<LockError>(call)
    t.true(error.message.includes(`ENOTDIR`))
    // As Node would quote it: with backslashes of a Windows path doubled.
    t.true(error.message.endsWith(`; to lock a file, name it by file(${quoted})`), error.message)
  }
})
