// Our files are empty, or a ledger, and have one hard link. Anything else with their names may be
// somebody's data: it is refused, and left alone.

import { createHash } from 'node:crypto'
import { link, readFile, readdir, stat, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

import test, { type ExecutionContext } from 'ava'
import { LockError, tryLock, tryRLock } from 'rootlock'

import { child, program } from '../helpers/child.mjs'
import { eventually, inTime } from '../helpers/eventually.mjs'
import { kernelLocks } from '../helpers/kernel-locks.mjs'
import { hold, QUICK, waiter } from '../helpers/locks.mjs'
import { mustBlock } from '../helpers/must-block.mjs'
import { linux, needing, tool, unix } from '../helpers/needing.mjs'
import { temporaryRoot } from '../helpers/temporary-root.mjs'

const onUnix = needing(test, unix)
const withFlock = needing(test, linux, tool('flock', '--version'))

const BEAT = { heartbeatMs: 50, staleMs: 30_000 }

/** Everything that would reveal a write, or a time that was set. */
async function seen(path: string): Promise<object> {
  const { ino, mtimeMs, ctimeMs, size } = await stat(path)
  const content = createHash('sha256').update(await readFile(path))
  return { ino, mtimeMs, ctimeMs, size, content: content.digest('hex') }
}

async function isRefused(
  t: ExecutionContext,
  root: string,
  name: string,
  why: RegExp
): Promise<void> {
  for (const lock of [
    () => tryLock(root, QUICK),
    () => tryRLock(root, QUICK),
    () => tryLock(root, { ...QUICK, wait: false })
  ]) {
    const error = await t.throwsAsync<LockError>(inTime('it is refused', lock()), {
      instanceOf: LockError,
      code: 'ERR_LOCK_UNSUCCESSFUL',
      message: why
    })
    t.is(error.path, join(root, name))
    t.like(error.cause, { code: 'EINVAL', path: join(root, name) })
  }
}

for (const name of ['.lock', '.lock.guard']) {
  onUnix(`${name} with a second name is refused, and nothing is done to it`, async (t) => {
    const root = await temporaryRoot(t)
    const [file, other] = [join(root, name), join(await temporaryRoot(t), 'precious')]
    await writeFile(other, '')
    await link(other, file)
    const before = await seen(other)
    await isRefused(t, root, name, /2 hard links/)
    t.deepEqual(await seen(other), before)
  })
}

for (const [what, content] of Object.entries({
  'one line': '4242\n',
  'a megabyte': Buffer.alloc(2 ** 20, 0xa5),
  'one byte': ' ',
  'more zeros than a ledger has': Buffer.alloc(1_025),
  'zeros, and then text': Buffer.concat([Buffer.alloc(600), Buffer.from('text')])
})) {
  test(`a guard with ${what} of somebody else’s is refused, and left alone`, async (t) => {
    const root = await temporaryRoot(t)
    const guard = join(root, '.lock.guard')
    await writeFile(guard, content)
    const before = await seen(guard)
    await isRefused(t, root, '.lock.guard', /content that is not rootlock's/)
    t.deepEqual(await seen(guard), before)
  })
}

withFlock('a waiter announces nothing on a guard that is somebody else’s', async (t) => {
  const root = await temporaryRoot(t)
  const guard = join(root, '.lock.guard')
  await writeFile(guard, 'precious')
  const peer = program(t, 'flock', [join(root, '.lock'), 'sh', '-c', 'echo held; cat'])
  await peer.prints('held')
  const waiting = child(t, 'holder', { root })
  await waiting.says('waiting')
  await eventually('it waits', () =>
    kernelLocks(root).some(({ pid, waits }) => pid === waiting.pid && waits)
  )
  t.deepEqual(kernelLocks(root, '.lock.guard'), [])
  peer.process.stdin!.end()
  t.regex((await waiting.says('failed')).message, /content that is not rootlock's/)
  t.is(await readFile(guard, 'utf8'), 'precious')
})

onUnix(
  'a lock file that gets a second hard link while it is held is no longer stamped',
  async (t) => {
    const root = await temporaryRoot(t)
    const logs: string[] = []
    const logger = {
      warn: (_: string, details: object) => logs.push(JSON.stringify(details)),
      error: () => {}
    }
    const unlock = await hold(t, root, { heartbeatMs: 50, staleMs: 1_000, logger })
    await link(join(root, '.lock'), join(root, 'copy'))
    const { mtimeMs } = await stat(join(root, 'copy'))
    await eventually('it is told', () => unlock.signal.aborted)
    t.is((unlock.signal.reason as LockError).reason, 'heartbeat-failed')
    t.true(logs.some((details) => details.includes('2 hard links')))
    const beatInBetween = 50
    t.true((await stat(join(root, 'copy'))).mtimeMs - mtimeMs <= beatInBetween)
  }
)

test('a holder’s beats leave alone a guard that was replaced by somebody else’s file', async (t) => {
  const root = await temporaryRoot(t)
  const guard = join(root, '.lock.guard')
  const unlock = await hold(t, root, { heartbeatMs: 50, staleMs: 1_000 })
  await truncate(guard)
  await writeFile(guard, 'precious')
  const before = await seen(guard)
  await eventually('it is told', () => unlock.signal.aborted)
  t.is((unlock.signal.reason as LockError).reason, 'heartbeat-failed')
  t.deepEqual(await seen(guard), before)
})

onUnix('a lock file with content is never taken over, which is logged and reported', async (t) => {
  const root = await temporaryRoot(t)
  const data = join(root, 'data.json')
  await writeFile(data, '{"precious":true}')
  const frozen = child(t, 'holder', { root, options: { ...QUICK, fileName: 'data.json' } })
  await frozen.says('held')
  await frozen.freeze()
  const before = await stat(data)
  const waiting = child(t, 'holder', { root, options: { ...QUICK, fileName: 'data.json' } })
  const log = await waiting.says('log')
  t.is(log.message, 'could not take over a stale lock')
  t.regex(log.details.reason!, /data\.json: it has 17 bytes of content/)
  t.false(waiting.hasSaid('held'))
  waiting.tell('abort')
  const { message } = await waiting.says('failed')
  t.regex(message, /stale, but could not be taken over \(it has 17 bytes of content/)
  t.is((await stat(data)).ino, before.ino)
  t.is(await readFile(data, 'utf8'), '{"precious":true}')
  t.deepEqual((await readdir(root)).toSorted(), ['data.json', 'data.json.guard'])
})

withFlock('a lock file with content that flock(1) holds is never taken over', async (t) => {
  const root = await temporaryRoot(t)
  const data = join(root, 'data.json')
  await writeFile(data, 'precious')
  const peer = program(t, 'flock', [data, 'sh', '-c', 'echo held; cat'])
  await peer.prints('held')
  const waiting = child(t, 'holder', { root, options: { ...QUICK, fileName: 'data.json' } })
  t.regex((await waiting.says('log')).details.reason!, /8 bytes of content/)
  peer.process.stdin!.end()
  await waiting.says('held')
  t.is(await readFile(data, 'utf8'), 'precious')
})

onUnix('a temporary file with content is not removed', async (t) => {
  const root = await temporaryRoot(t)
  const next = join(root, '.lock.next')
  await writeFile(next, 'precious')
  const frozen = child(t, 'holder', { root, options: QUICK })
  await frozen.says('held')
  await frozen.freeze(root)
  const waiting = child(t, 'holder', { root, options: QUICK })
  t.regex((await waiting.says('log')).details.reason!, /\.lock\.next: it has 8 bytes of content/)
  t.is(await readFile(next, 'utf8'), 'precious')
  frozen.thaw()
  frozen.tell('unlock')
  await frozen.says('unlocked')
  await waiting.says('held')
  t.is(await readFile(next, 'utf8'), 'precious')
})

test('a last token that leaves no room for a greater one is refused, and never granted again', async (t) => {
  const root = await temporaryRoot(t)
  const guard = join(root, '.lock.guard')
  await hold(t, root).then((unlock) => unlock())
  await writeFile(guard, forged(await readFile(guard, 'latin1'), 2 ** 53 - 2))
  await isRefused(t, root, '.lock.guard', /no room for a greater one: remove it/)
  await writeFile(guard, forged(await readFile(guard, 'latin1'), 2 ** 53 - 4))
  const tokens = new Set<number>()
  for (let round = 0; round < 2; round++) {
    const unlock = await hold(t, root)
    tokens.add(unlock.token)
    await unlock()
  }
  t.deepEqual([...tokens], [2 ** 53 - 3, 2 ** 53 - 2])
  await isRefused(t, root, '.lock.guard', /no room/)
})

test('a record with a date that JavaScript can’t represent is ignored, and ends no process', async (t) => {
  const root = await temporaryRoot(t)
  const guard = join(root, '.lock.guard')
  const unlock = await hold(t, root, BEAT)
  const record = (await readFile(guard, 'latin1')).slice(0, 512)
  for (const at of ['8640000000000001', '9007199254740991', '18446744073709551615']) {
    await writeFile(guard, sealed(record.replace(/ at=\d+/, ` at=${at}`)))
    const { lock, abort } = waiter(t, root, { onWait: () => {} })
    await mustBlock(lock)
    abort()
    const error = await t.throwsAsync<LockError>(lock, { code: 'ERR_LOCK_UNSUCCESSFUL' })
    t.true(Number.isFinite(error.holder?.acquiredAt?.getTime() ?? 0))
  }
  await unlock()
})

/** A ledger whose last token is this one. */
function forged(ledger: string, token: number): string {
  return sealed(ledger.slice(0, 512).replace(/token=\d+ last=\d+/, `token=${token} last=${token}`))
}

function sealed(record: string): string {
  const text = record.slice(0, record.indexOf(' sum='))
  return `${text} sum=${crc32(text).toString(16).padStart(8, '0')}`.padEnd(512, ' ')
}

function crc32(text: string): number {
  let sum = ~0
  for (const byte of Buffer.from(text, 'latin1')) {
    sum ^= byte
    for (let bit = 0; bit < 8; bit++) sum = (sum >>> 1) ^ (sum & 1 ? 0xedb88320 : 0)
  }
  return ~sum >>> 0
}
