// Whatever another process writes to a guard file is harmless: all the way from its
// bytes to `inspect`, errors, `onWait` and the command.

import { readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { crc32 } from 'node:zlib'

import test, { type ExecutionContext } from 'ava'
import { inspect, LockError, tryLock, type Holder } from 'rootlock'

import { child } from '../helpers/child.mjs'
import { run } from '../helpers/command.mjs'
import { eventually, inTime } from '../helpers/eventually.mjs'
import { hold, QUICK } from '../helpers/locks.mjs'
import { needing, unix } from '../helpers/needing.mjs'
import { temporaryRoot } from '../helpers/temporary-root.mjs'

const SEED = 20_261_126
const CASES = 120
const SLOT = 512

/** A generator of numbers below `most`, the same for the same seed (mulberry32). */
function generator(seed: number): (most: number) => number {
  let state = seed
  return (most) => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) % most
  }
}

/** From what no clock shows to what no type can hold. */
const numbers = [
  '0',
  '1',
  '50',
  '4242',
  '2147483648',
  '4294967295',
  '4294967296',
  '1763894520000',
  '8640000000000000',
  '8640000000000001',
  '9007199254740989',
  '9007199254740991',
  '9007199254740992',
  '18446744073709551615',
  '18446744073709551616',
  '-1',
  '1e9',
  'NaN',
  ''
]

const texts = [
  'ci-7',
  'node build.js',
  '\x1b[2J\x1b]0;owned\x07',
  'one\ntwo\r\nthree',
  '\u009b31m red',
  '\u202ednuor yaw gnorw eht\u202c',
  '\u2066\u2069\u200f\u061c',
  'line\u2028paragraph\u2029end',
  '\0\b\x7f\t',
  '%s %d ${x} `y` "z" \\ \\n',
  '💥'.repeat(40),
  ' ',
  ''
]

/** Text as the ledger encodes it, and as it does not. */
const encoded = (text: string) =>
  text.replace(/[^\x21-\x24\x26-\x7e]/gu, (character) =>
    [...Buffer.from(character)].map((byte) => `%${byte.toString(16).padStart(2, '0')}`).join('')
  )
const spoilt = ['%', '%f', '%ff%fe', '%c3', '%zz', '%+1', '\x1b[2J', 'ä%']

/** A valid slot: whatever its text, the checksum is correct. */
function slot(content: string): Buffer {
  const text = Buffer.from(content)
  const sum = crc32(text).toString(16).padStart(8, '0')
  return Buffer.concat([text, Buffer.from(` sum=${sum}`), Buffer.alloc(SLOT, ' ')]).subarray(
    0,
    SLOT
  )
}

function record(random: (most: number) => number, index: bigint): string {
  const one = <T,>(of: readonly T[]): T => of[random(of.length)]!
  const often = (usual: string, of: readonly string[]) => (random(3) ? usual : one(of))
  const text = () => (random(4) ? encoded(one(texts)) : one(spoilt))
  const token = often('1763894520000000', numbers)
  const fields = {
    token,
    last: often(token, numbers),
    mode: often('exclusive', ['shared', 'none', '\x1b[2J']),
    at: one(numbers),
    beat: one(numbers),
    stale: one(numbers),
    file: often(`1:${index}`, [`0:${index}`, '1:1', ':', '']),
    left: often('0', ['1', 'x', '']),
    pid: often('4242', numbers),
    start: often('881', numbers),
    ns: often('1', numbers),
    boot: text(),
    host: text(),
    command: text()
  }
  const line = Object.entries(fields).map(([name, value]) => `${name}=${value}`)
  if (random(8) === 0) line.splice(random(line.length), 1)
  return `rootlock1 ${line.join(' ')}`
}

const ACTS = /[\p{Cc}\p{Bidi_Control}\u2028\u2029]/u

/** As the types promise, and safe to print. */
function isWell(t: ExecutionContext, holder: Holder | undefined, which: string): void {
  if (!holder) return
  const { pid, mode, hostname = '', command = '', acquiredAt, token = 1 } = holder
  t.true(Number.isSafeInteger(pid) && pid >= 0, which)
  t.true(mode === 'exclusive' || mode === 'shared', which)
  t.notRegex(hostname, ACTS, which)
  t.notRegex(command, ACTS, which)
  t.true(acquiredAt === undefined || acquiredAt.toISOString() !== '', which)
  t.true(Number.isSafeInteger(token), which)
}

async function survives(t: ExecutionContext, root: string, which: string): Promise<void> {
  const state = await inTime('it is inspected', inspect(root))
  t.not(state.state, 'free', which)
  isWell(t, state.holder, which)

  const refused = await t.throwsAsync(inTime('it is refused', tryLock(root, { wait: false })), {
    instanceOf: LockError,
    message: /^store is locked/
  })
  t.notRegex(refused.message, ACTS, which)
  isWell(t, (refused as LockError).holder, which)

  const controller = new AbortController()
  const told: (Holder | undefined)[] = []
  const onWait = (holder?: Holder) => void told.push(holder)
  const wait = tryLock(root, { onWait, signal: controller.signal })
  wait.catch(() => {})
  await eventually('it is told that it waits', () => told.length > 0)
  isWell(t, told[0], which)
  controller.abort()
  const ended = await t.throwsAsync(inTime('the wait ends', wait), { instanceOf: LockError })
  t.notRegex(ended.message, ACTS, which)
}

async function commandSurvives(t: ExecutionContext, root: string, which: string): Promise<void> {
  for (const args of [[], ['--json']]) {
    const { code, out, err } = await run(t, 'status', ...args, root)
    t.is(code, 0, `${which}: ${err}`)
    for (const line of out.trimEnd().split('\n')) t.notRegex(line, ACTS, which)
  }
}

test(`a forged ledger causes no crash, no block and no escape sequence: seed ${SEED}`, async (t) => {
  const root = await temporaryRoot(t)
  await hold(t, root)
  const { ino } = statSync(join(root, '.lock'), { bigint: true })
  const random = generator(SEED)
  for (let index = 0; index < CASES; index++) {
    const contents = [record(random, ino), record(random, ino)]
    const which = `case ${index}: ${JSON.stringify(contents)}`
    writeFileSync(join(root, '.lock.guard'), Buffer.concat(contents.map(slot)))
    await survives(t, root, which)
    if (index % 12 === 0) await commandSurvives(t, root, which)
  }
})

/** One forged value at a time, with everything else as it should be. */
for (const [what, fields, believed] of [
  ['a time that Date can not hold', { at: '9007199254740991' }, false],
  ['a time past all types', { at: '18446744073709551615' }, false],
  ['terms past all times', { beat: '18446744073709551615', stale: '18446744073709551615' }, false],
  ['no terms', { beat: '0', stale: '0' }, false],
  ['a command that clears the screen', { command: encoded('\x1b[2J\n\u202e') }, true],
  ['a host that is a line of its own', { host: encoded('ci\nstore is free') }, true]
] as const) {
  test(`a ledger with ${what} is reported like any other`, async (t) => {
    const root = await temporaryRoot(t)
    await hold(t, root)
    const { ino } = statSync(join(root, '.lock'), { bigint: true })
    const token = 1_763_894_520_000_000
    const usual = { token, last: token, mode: 'exclusive', at: 1, beat: 10_000, stale: 30_000 }
    const process = { pid: 4242, start: 881, ns: 1, boot: 'b', host: 'ci-7', command: 'node' }
    const all = { ...usual, file: `1:${ino}`, left: 0, ...process, ...fields }
    const line = Object.entries(all).map(([name, value]) => `${name}=${value}`)
    writeFileSync(join(root, '.lock.guard'), slot(`rootlock1 ${line.join(' ')}`))
    const { holder } = await inspect(root)
    t.is(holder?.pid === 4242, believed, 'our records never contain the impossible')
    await survives(t, root, what)
    await commandSurvives(t, root, what)
  })
}

needing(test, unix)('a takeover is logged with the holder’s name escaped', async (t) => {
  const root = await temporaryRoot(t)
  const frozen = child(t, 'holder', { root, options: QUICK })
  await frozen.says('held')
  await frozen.freeze(root)
  const guard = join(root, '.lock.guard')
  // Its record, with another host and another command.
  const [, own] = /(rootlock1 .+?) host=/.exec(readFileSync(guard, 'latin1'))!
  const text = encoded('\x1b[2J\nand a line of its own')
  const forged = `${own!.replace(/token=\d+ last=\d+/, 'token=4e15 last=4e15')} host=${text} command=${text}`
  writeFileSync(guard, slot(forged.replaceAll('4e15', String(4e15))))
  const logs: Record<string, string>[] = []
  const logger = {
    warn: (_: string, details: Record<string, string>) => void logs.push(details),
    error() {}
  }
  await hold(t, root, { ...QUICK, logger })
  await eventually('it is logged', () => logs.length > 0)
  t.regex(logs[0]!['from']!, /and a line of its own/)
  t.notRegex(logs[0]!['from']!, ACTS)
})
