import { createRequire } from 'node:module'

import test from 'ava'
import * as esm from 'rootlock'
import { tryLock } from 'rootlock'

import { hold } from '../helpers/locks.mjs'
import { temporaryRoot } from '../helpers/temporary-root.mjs'

const require = createRequire(import.meta.url)
const commonjs = require('rootlock') as typeof esm

const NAMES = [
  'LockError',
  'file',
  'inspect',
  'inspectSync',
  'openRoot',
  'openRootSync',
  'tryLock',
  'tryLockSync',
  'tryRLock',
  'tryRLockSync',
  'withLock',
  'withLogger'
]

test('ES modules can import exactly the exported names', (t) => {
  const names = Object.keys(esm).filter(
    (name) => !['default', 'module.exports', '__esModule'].includes(name)
  )
  t.deepEqual(names.toSorted(), NAMES)
})

test('CommonJS requires exactly the exported names', (t) => {
  t.deepEqual(Object.keys(commonjs).toSorted(), NAMES)
})

test('both are one module, with one LockError and one queue of waiters', async (t) => {
  t.is(commonjs.tryLock, tryLock)
  t.is(commonjs.LockError, esm.LockError)
  const root = await temporaryRoot(t)
  await hold(t, root, {}, commonjs.tryLock)
  await t.throwsAsync(tryLock(root, { wait: false }), { instanceOf: commonjs.LockError })
})

test('a dynamic import is the same module', async (t) => {
  const { LockError } = await import('rootlock')
  t.is(LockError, commonjs.LockError)
})

test('package.json can be required, and nothing else inside the package', (t) => {
  t.is((require('rootlock/package.json') as { name: string }).name, 'rootlock')
  for (const inside of ['rootlock/src/acquire.js', 'rootlock/index.js', 'rootlock/index.mjs']) {
    t.throws(() => require(inside) as unknown, { code: 'ERR_PACKAGE_PATH_NOT_EXPORTED' }, inside)
  }
})
