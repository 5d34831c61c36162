// What proper-lockfile's README documents, one claim after the other. Its own tests are not in its published package.

import { existsSync, rmSync } from 'node:fs'
import { mkdir, realpath, rm, rmdir, stat, symlink, utimes, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { join } from 'node:path'

import test, { type ExecutionContext } from 'ava'
import { file as lockOf, tryLock } from 'rootlock'
import lockfile, {
  check,
  checkSync,
  lock,
  lockSync,
  unlock,
  unlockSync,
  type LockedError,
  type LockOptions
} from 'rootlock/proper-lockfile'

import { child } from '../helpers/child.mjs'
import { DEADLINE, eventually, inTime } from '../helpers/eventually.mjs'
import { mustBlock } from '../helpers/must-block.mjs'
import { needing, notWine, unix } from '../helpers/needing.mjs'
import { temporaryRoot } from '../helpers/temporary-root.mjs'

const HELD = { code: 'ELOCKED', message: /^Lock file is already being held/ }
/** Wine keeps the name of a removed file while it is open. */
const removing = needing(test, notWine)

const RELEASED = { code: 'ERELEASED', message: 'Lock is already released' }
const NOT_ACQUIRED = { code: 'ENOTACQUIRED', message: 'Lock is not acquired/owned by you' }

async function temporaryFile(t: ExecutionContext): Promise<string> {
  const file = join(await realpath(await temporaryRoot(t)), 'data.json')
  await writeFile(file, '{}')
  return file
}

/** A lock that proper-lockfile has made. */
async function theirs(file: string, ageMs: number): Promise<string> {
  const directory = `${file}.lock`
  await mkdir(directory)
  const time = new Date(Date.now() - ageMs)
  await utimes(directory, time, time)
  return directory
}

test('the module is the function lock, as proper-lockfile is', async (t) => {
  const required = createRequire(import.meta.url)('rootlock/proper-lockfile') as typeof lockfile
  t.is(required as unknown, lock)
  t.is(lockfile as unknown, lock)
  t.deepEqual(Object.keys(required), [
    'check',
    'checkSync',
    'lock',
    'lockSync',
    'unlock',
    'unlockSync'
  ])
})

test('lock excludes, names the holder, and its release ends it', async (t) => {
  const file = await temporaryFile(t)
  const release = await lock(file)
  const error = await t.throwsAsync<LockedError>(lock(file), HELD)
  t.like(error, { file, holder: { pid: process.pid } })
  t.throws(() => lockSync(file), HELD)
  t.is(await check(file), true)
  t.is(checkSync(file), true)
  t.is(await release(), undefined)
  t.is(await check(file), false)
  t.is(checkSync(file), false)
  await (
    await lock(file)
  )()
})

test('lockSync does the same', async (t) => {
  const file = await temporaryFile(t)
  const release = lockSync(file)
  t.like(
    t.throws<LockedError>(() => lockSync(file), HELD),
    { file, holder: { pid: process.pid } }
  )
  await t.throwsAsync(lock(file), HELD)
  t.is(release(), undefined)
  t.throws(release, RELEASED)
  lockSync(file)()
})

test('a release called twice fails, however the first ended it', async (t) => {
  const file = await temporaryFile(t)
  const release = await lock(file)
  const first = release()
  await t.throwsAsync(release(), RELEASED)
  await first
  const other = await lock(file)
  await unlock(file)
  await t.throwsAsync(other(), RELEASED)
  await (
    await lock(file)
  )()
})

test('unlock releases what this process has locked, and nothing else', async (t) => {
  const file = await temporaryFile(t)
  await t.throwsAsync(unlock(file), NOT_ACQUIRED)
  t.throws(() => unlockSync(file), NOT_ACQUIRED)
  await lock(file)
  await unlock(file)
  await t.throwsAsync(unlock(file), NOT_ACQUIRED)
  lockSync(file)
  unlockSync(file)
  const other = child(t, 'proper-lockfile', { file })
  await other.says('held')
  await t.throwsAsync(unlock(file), NOT_ACQUIRED)
  t.true(await check(file))
})

test('a lock excludes other processes, and ends with its holder at once', async (t) => {
  const file = await temporaryFile(t)
  for (const end of ['SIGKILL', 'throw']) {
    const other = child(t, 'proper-lockfile', { file })
    await other.says('held')
    t.like(await t.throwsAsync<LockedError>(lock(file), HELD), { holder: { pid: other.pid } })
    if (end === 'throw') other.tell(end)
    else other.kill()
    await other.ends()
    t.false(await check(file), end)
    await (
      await lock(file)
    )()
  }
})

test('a lock keeps no process alive', async (t) => {
  const file = await temporaryFile(t)
  const other = child(t, 'proper-lockfile', { file, alone: true })
  t.is((await other.ends()).code, 0, other.printed)
})

test('a missing file is an error, unless realpath is false', async (t) => {
  const file = join(await temporaryRoot(t), 'missing')
  const missing = { code: 'ENOENT' }
  for (const call of [lock, unlock, check]) await t.throwsAsync(call(file), missing)
  for (const call of [lockSync, unlockSync, checkSync]) t.throws(() => call(file), missing)
  const options = { realpath: false }
  t.false(await check(file, options))
  t.false(checkSync(file, options))
  await t.throwsAsync(unlock(file, options), NOT_ACQUIRED)
  await lock(file, options)
  t.true(await check(file, options))
  await unlock(file, options)
  await t.throwsAsync(lock(join(file, 'inside'), options), missing, 'its directory is missing')
})

needing(test, unix)('links are resolved, unless realpath is false', async (t) => {
  const file = await temporaryFile(t)
  const link = `${file}.link`
  await symlink(file, link)
  const release = await lock(link)
  await t.throwsAsync(lock(file), HELD)
  t.true(await check(link))
  await release()
  await lock(file)
  await unlock(link)
  const options = { realpath: false }
  const releases = [await lock(link, options), await lock(file, options)]
  await t.throwsAsync(lock(link, options), HELD)
  for (const each of releases) await each()
})

test('a directory is locked from outside, or by a lockfilePath inside', async (t) => {
  const folder = join(await temporaryRoot(t), 'folder')
  await mkdir(folder)
  const inside = { lockfilePath: join(folder, 'dir.lock') }
  const releases = [await lock(folder), await lock(folder, inside)]
  t.true(existsSync(`${folder}.lock`))
  t.true(existsSync(inside.lockfilePath))
  for (const each of releases) await each()
  await lock(folder)
  await lock(folder, inside)
  await unlock(folder, inside)
  t.false(await check(folder, inside))
  t.true(await check(folder))
  await unlock(folder)
  await lock(folder, inside)
  // proper-lockfile keeps its locks by the file's name alone.
  await unlock(folder)
  t.false(await check(folder, inside))
})

test('it is the lock that file() names', async (t) => {
  const file = await temporaryFile(t)
  const release = await lock(file)
  await t.throwsAsync(tryLock(lockOf(file), { wait: false }), { code: 'ERR_LOCK_UNSUCCESSFUL' })
  await release()
  const unlockIt = await tryLock(lockOf(file))
  await t.throwsAsync(lock(file), HELD)
  t.true(await check(file))
  await t.throwsAsync(unlock(file), NOT_ACQUIRED)
  await unlockIt()
})

test('with retries, lock waits for as long as they would take', async (t) => {
  const file = await temporaryFile(t)
  for (const retries of [5, { retries: 3, minTimeout: 20_000 }, { forever: true }, [60_000]]) {
    const release = await lock(file)
    const waiting = lock(file, { retries })
    await mustBlock(waiting)
    await release()
    await (
      await inTime('the lock is granted', waiting)
    )()
  }
  const short = [{ retries: 3, minTimeout: 5 }, { forever: true, maxRetryTime: 5 }, [5, 5], 0, {}]
  const release = await lock(file)
  for (const retries of short.slice(0, 4)) {
    await t.throwsAsync(inTime('it gives up', lock(file, { retries })), HELD)
  }
  // 10 retries by default, and a sum that no number of milliseconds can hold.
  const waiting = [lock(file, { retries: {} }), lock(file, { retries: 1000 })]
  for (const each of waiting) await mustBlock(each)
  await release()
  for (const each of waiting) await (await inTime('the lock is granted', each))()
})

test('lockSync takes no retries', async (t) => {
  const file = await temporaryFile(t)
  const refused = { code: 'ESYNC', message: 'Cannot use retries with the sync api' }
  for (const retries of [1, { retries: 1 }, {}])
    t.throws(() => lockSync(file, { retries }), refused)
  for (const retries of [0, { retries: 0 }]) lockSync(file, { retries })()
})

test('the lock file is refreshed by update, which is at most stale / 2', async (t) => {
  for (const options of [{ update: 0 }, { update: 1000 }, { stale: 2000, update: 60_000 }]) {
    const file = await temporaryFile(t)
    const release = await lock(file, options)
    const first = (await stat(`${file}.lock`)).mtimeMs
    await eventually('it is refreshed', async () => (await stat(`${file}.lock`)).mtimeMs > first)
    await release()
  }
  t.pass()
})

test('options as others were given to proper-lockfile are no error', async (t) => {
  const file = await temporaryFile(t)
  const all: object[] = [
    { stale: Infinity },
    { stale: false, update: false },
    { stale: '5000', update: '1000' },
    { stale: 5000, update: null },
    { retries: null, realpath: undefined, lockfilePath: undefined, onCompromised: undefined },
    { fs: {}, somethingElse: true }
  ]
  for (const options of all as LockOptions[]) {
    await lock(file, options)
    await unlock(file)
    lockSync(file, options)()
  }
  t.pass()
})

removing('who loses the lock is told, and has it no longer', async (t) => {
  const file = await temporaryFile(t)
  const told = new Promise<Error>((onCompromised) => {
    void lock(file, { update: 1000, onCompromised }).then((release) => (releaseIt = release))
  })
  let releaseIt: (() => Promise<void>) | undefined
  await eventually('it is locked', () => releaseIt)
  await rm(`${file}.lock`)
  t.like(await inTime('the loss is told', told), { code: 'ECOMPROMISED' })
  await t.throwsAsync(releaseIt!(), RELEASED)
  await t.throwsAsync(unlock(file), NOT_ACQUIRED)
  await (
    await lock(file)
  )()
})

removing('a loss can be answered by a new lock', async (t) => {
  const file = await temporaryFile(t)
  const release = await new Promise<() => void>((resolve) => {
    const onCompromised = () => resolve(lockSync(file))
    lockSync(file, { update: 1000, onCompromised })
    void rm(`${file}.lock`)
  })
  t.true(checkSync(file))
  release()
})

removing('a loss is told at the release, if the event loop has not told it', async (t) => {
  const file = await temporaryFile(t)
  const lost: Error[] = []
  const onCompromised = (error: Error) => lost.push(error)
  // For longer and longer, until a beat of the native thread has found it.
  for (let blockMs = 1000; lost.length === 0 && blockMs < DEADLINE; blockMs *= 2) {
    const release = lockSync(file, { update: 1000, onCompromised })
    rmSync(`${file}.lock`)
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, blockMs)
    t.deepEqual(lost, [])
    try {
      release()
    } catch (error) {
      t.like(error, RELEASED)
    }
  }
  t.like(lost, [{ code: 'ECOMPROMISED' }])
  lockSync(file)()
})

removing('without onCompromised, a loss ends the process', async (t) => {
  const file = await temporaryFile(t)
  const other = child(t, 'proper-lockfile', { file, options: { update: 1000 } })
  await other.says('held')
  await rm(`${file}.lock`)
  t.not((await other.ends()).code, 0)
  t.regex(other.printed, /Lock is compromised[^]*ECOMPROMISED/)
})

test("a directory of proper-lockfile's is respected while it is fresh", async (t) => {
  const file = await temporaryFile(t)
  await theirs(file, 0)
  const found = { code: 'ELOCKED', message: /held: by proper-lockfile, whose directory is/ }
  await t.throwsAsync(lock(file), found)
  t.throws(() => lockSync(file), found)
  t.true(await check(file))
  t.true(checkSync(file))
  await t.throwsAsync(lock(file, { retries: [10] }), found)
})

test("a directory of proper-lockfile's is waited for", async (t) => {
  const file = await temporaryFile(t)
  const directory = await theirs(file, 0)
  const waiting = lock(file, { retries: [60_000] })
  await mustBlock(waiting)
  await rmdir(directory)
  await (
    await inTime('the lock is granted', waiting)
  )()
  t.true((await stat(directory)).isFile())
})

test("a directory of proper-lockfile's is taken over when it is stale", async (t) => {
  for (const take of [lock, async (file: string) => lockSync(file)]) {
    const file = await temporaryFile(t)
    const directory = await theirs(file, 11_000)
    t.false(await check(file))
    t.false(checkSync(file))
    t.true(await check(file, { stale: 60_000 }))
    const release = await take(file)
    t.true((await stat(directory)).isFile())
    t.true(await check(file))
    await release()
  }
})

test('stale is at least two seconds', async (t) => {
  const file = await temporaryFile(t)
  const directory = await theirs(file, -60_000)
  for (const stale of [0, 100]) {
    t.true(await check(file, { stale }))
    await t.throwsAsync(lock(file, { stale }), HELD)
  }
  await rmdir(directory)
  await theirs(file, 3000)
  t.false(await check(file, { stale: 100 }))
  await (
    await lock(file, { stale: 100 })
  )()
})

test("a directory with something in it is nobody's lock, and is left alone", async (t) => {
  const file = await temporaryFile(t)
  const directory = await theirs(file, 0)
  await writeFile(join(directory, 'data'), '')
  await utimes(directory, 1, 1)
  const error = await t.throwsAsync<NodeJS.ErrnoException>(lock(file))
  t.regex(error.code!, /^(ENOTEMPTY|EEXIST)$/)
  t.true(existsSync(join(directory, 'data')))
})

test('of many who take over at once, one has it at a time', async (t) => {
  const file = await temporaryFile(t)
  await theirs(file, 60_000)
  let inside = 0
  await Promise.all(
    Array.from({ length: 20 }, async () => {
      const release = await lock(file, { retries: [60_000] })
      t.is(++inside, 1)
      await new Promise(setImmediate)
      inside--
      await release()
    })
  )
})
