import { readdir } from 'node:fs/promises'
import { inspect as show } from 'node:util'

import test from 'ava'
import {
  inspect,
  tryLock,
  tryLockSync,
  tryRLock,
  tryRLockSync,
  withLock,
  type LockOptions
} from 'rootlock'

import { temporaryRoot } from '../helpers/temporary-root.mjs'

const TYPE = 'ERR_INVALID_ARG_TYPE'
const RANGE = 'ERR_OUT_OF_RANGE'

/** Option, what is wrong with it, and the values. */
const wrong: [option: string, code: string, values: unknown[]][] = [
  ['signal', TYPE, [null, {}, 'abort', 5_000, new AbortController(), () => {}]],
  ['wait', TYPE, [null, 0, 1, 'false', {}]],
  ['recover', TYPE, [null, 0, 'yes', []]],
  [
    'logger',
    TYPE,
    [null, 'console', true, {}, { warn() {} }, { error() {} }, { warn: 1, error: 1 }]
  ],
  ['fileName', TYPE, [null, 1, true, ['.lock'], Buffer.from('.lock')]],
  [
    'fileName',
    RANGE,
    [
      '',
      '.',
      '..',
      '/',
      'a/b',
      '../.lock',
      '/etc/passwd',
      'a\\b',
      'C:',
      'a\0b',
      'x'.repeat(241),
      'ö'.repeat(121),
      // What is derived from `x`, or could be mistaken for it.
      'x.guard',
      'x.next',
      'X.Guard',
      'x.NEXT',
      'x.gu\u200card',
      'x.guard\ufeff',
      'x.guard.\u200b',
      '.guard',
      // An alias of another lock's file.
      'x.',
      'x ',
      '.lock. .',
      'LOCK~1.GUA',
      'DATA~1'
    ]
  ],
  ['heartbeatMs', TYPE, [null, '50', 100n, {}, new Date()]],
  ['heartbeatMs', RANGE, [NaN, 0, -1, 49, 49.9, -Infinity, Infinity]],
  ['staleMs', TYPE, ['30000', 30_000n, {}]],
  ['staleMs', RANGE, [NaN, 0, -1, 29_999, -Infinity, Infinity]],
  ['onWait', TYPE, [null, 1, 'log', {}]],
  ['timeoutMs', TYPE, [null, '10', 10n, {}, true]],
  ['timeoutMs', RANGE, [NaN, -1, -0.1, -Infinity, 2 ** 53]]
]

/** A value as a failing assertion names it. */
const cut = (value: unknown) => show(value).slice(0, 20)

for (const [option, code, values] of wrong) {
  const expected = {
    instanceOf: code === TYPE ? TypeError : RangeError,
    code,
    message: new RegExp(`"options\\.${option}(\\.warn|\\.error)?"`)
  }
  const title = code === TYPE ? 'of the wrong type' : 'out of range'

  test(`options.${option} ${title} is refused, and nothing is touched`, async (t) => {
    const root = await temporaryRoot(t)
    for (const value of values) {
      const options = { [option]: value } as LockOptions
      for (const lock of [
        () => tryLock(root, options),
        () => tryRLock(root, options),
        () => withLock(root, () => t.fail(), options)
      ]) {
        const error = await t.throwsAsync(lock, expected, cut(value))
        t.regex(error.message, /must be .+ Received /, 'it says what was expected, and what came')
      }
      if (option !== 'wait') {
        for (const lock of [tryLockSync, tryRLockSync]) {
          t.throws(() => void lock(root, options), expected, cut(value))
        }
      }
      if (['fileName', 'staleMs'].includes(option) && value !== 29_999 && value !== 0) {
        await t.throwsAsync(inspect(root, options), expected, cut(value))
      }
    }
    t.deepEqual(await readdir(root), [])
  })
}

test('staleMs must be three times heartbeatMs', async (t) => {
  const root = await temporaryRoot(t)
  const heartbeatMs = 12_000
  const expected = { instanceOf: RangeError, code: RANGE, message: /"options\.staleMs".*36000/ }
  const byDefault = { ...expected, message: /default is too short.* Received 30000$/ }
  await t.throwsAsync(tryLock(root, { heartbeatMs }), byDefault)
  await t.throwsAsync(tryLock(root, { heartbeatMs, staleMs: 35_999 }), expected)
  t.deepEqual(await readdir(root), [])
  await (
    await tryLock(root, { heartbeatMs, staleMs: 36_000 })
  )()
})

test('a third of staleMs is a valid heartbeatMs for any staleMs', async (t) => {
  const root = await temporaryRoot(t)
  const values = [150, 151, 1_000, 2_000, 5_000, 20_000, 1e3 / 6, 4_999.999_999, 2 ** 40 + 1]
  for (let value = 150; value < 2_000; value += 37) values.push(value, value + 1 / 3)
  for (const staleMs of values) {
    for (const take of [tryLock, tryRLock]) {
      const unlock = await take(root, { heartbeatMs: staleMs / 3, staleMs })
      await unlock()
    }
  }
  t.pass()
})

test('the smallest and the largest values are accepted', async (t) => {
  const root = await temporaryRoot(t)
  for (const options of [
    { heartbeatMs: 50, staleMs: 150 },
    { heartbeatMs: 50, staleMs: Number.MAX_SAFE_INTEGER },
    { heartbeatMs: 2 ** 40, staleMs: 2 ** 42 },
    { heartbeatMs: 2 ** 51, staleMs: Number.MAX_SAFE_INTEGER },
    { fileName: 'x'.repeat(240) },
    { fileName: '...' }
  ]) {
    await (
      await tryLock(root, options)
    )()
    await (
      await tryRLock(root, options)
    )()
  }
  t.pass()
})

test('undefined is the same as a missing option', async (t) => {
  const root = await temporaryRoot(t)
  const nothing = Object.fromEntries(wrong.map(([option]) => [option, undefined]))
  await (
    await tryLock(root, nothing)
  )()
  await (
    await tryRLock(root, undefined)
  )()
  t.is(await withLock(root, () => 1, { ...nothing, shared: undefined }), 1)
  t.is((await inspect(root, { fileName: undefined, staleMs: undefined })).state, 'free')
})
