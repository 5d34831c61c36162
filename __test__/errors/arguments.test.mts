import { readdir } from 'node:fs/promises'
import { inspect as show } from 'node:util'

import test from 'ava'
import {
  inspect,
  openRoot,
  tryLock,
  tryRLock,
  withLock,
  withLogger,
  type LockOptions
} from 'rootlock'

import { temporaryRoot } from '../helpers/temporary-root.mjs'

const TYPE = 'ERR_INVALID_ARG_TYPE'
const RANGE = 'ERR_OUT_OF_RANGE'

/** A value as a failing assertion names it. */
const cut = (value: unknown) => show(value).slice(0, 20)

test('options that are not an object are refused', async (t) => {
  const root = await temporaryRoot(t)
  const expected = {
    instanceOf: TypeError,
    code: TYPE,
    message: /"options" argument must be of type object/
  }
  for (const options of [null, 5_000, 'wait', true, () => {}] as unknown as LockOptions[]) {
    await t.throwsAsync(tryLock(root, options), expected, cut(options))
    await t.throwsAsync(
      withLock(root, () => t.fail(), options),
      expected,
      cut(options)
    )
    await t.throwsAsync(inspect(root, options), expected, cut(options))
  }
  t.deepEqual(await readdir(root), [])
})

test('a root that is not a path is refused', async (t) => {
  for (const root of [
    undefined,
    null,
    1,
    true,
    {},
    [],
    Buffer.from('/tmp'),
    { path: '/tmp' }
  ] as never[]) {
    const expected = { instanceOf: TypeError, code: TYPE, message: /"root" argument must be/ }
    for (const call of [tryLock, tryRLock, inspect]) {
      await t.throwsAsync(call(root), expected, cut(root))
    }
    await t.throwsAsync(
      withLock(root, () => t.fail()),
      expected,
      cut(root)
    )
    await t.throwsAsync(
      openRoot(root),
      { ...expected, message: /"path" argument must be/ },
      cut(root)
    )
  }
})

test('a root that is not a path on this machine is refused', async (t) => {
  const expected = { instanceOf: RangeError, code: RANGE, message: /"root" is out of range/ }
  await t.throwsAsync(tryLock(new URL('https://example.org/store')), expected)
  await t.throwsAsync(tryLock('/tmp/\0'), expected)
})

test('a callback that is not a function is refused before anything is locked', async (t) => {
  const root = await temporaryRoot(t)
  const expected = {
    instanceOf: TypeError,
    code: TYPE,
    message: /"fn" argument must be of type function/
  }
  await t.throwsAsync(withLock(root, 'work' as never), expected)
  t.throws(() => withLogger(console, undefined as never), expected)
  t.throws(() => withLogger({} as never, () => {}), { ...expected, message: /"logger\.warn"/ })
  await t.throwsAsync(
    withLock(root, () => t.fail(), { shared: 1 as never }),
    {
      ...expected,
      message: /"options\.shared"/
    }
  )
  t.deepEqual(await readdir(root), [])
})
