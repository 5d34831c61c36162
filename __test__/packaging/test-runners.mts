// `npm run check -- test-runners`: jest and vitest, which replace timers, modules and globals.

import test, { before } from 'node:test'

import { npm as ask } from '../../scripts/npm.mjs'
import { checkout } from '../../scripts/pack.mjs'
import { published } from './published.mjs'
import { node, temporary, write } from './tools.mjs'

const npm = process.env['npm_execpath']!

const JEST = '30.5.2'
const VITEST = '5.1.1'

let url: string

before(async () => {
  const upstream = await ask(['config', 'get', 'registry'], checkout)
  ;({ url } = await published(upstream.trim()))
})

/** What must work in any of them; `fake` replaces the timers, `reset` forgets the modules. */
const user = `
const { mkdtempSync } = require('node:fs')
const { tmpdir } = require('node:os')
const { join } = require('node:path')

exports.check = async (load, fake, reset) => {
  const root = mkdtempSync(join(tmpdir(), 'rootlock-runner-'))
  const ok = (holds, what) => {
    if (!holds) throw new Error('not so: ' + what)
  }
  fake()
  const first = await load()
  const unlock = await first.tryLock(root)
  ok(!unlock.signal.aborted, 'it is held')
  let waited = false
  const second = first.tryLock(root, { onWait: () => (waited = true) })
  const refused = await first.tryLock(root, { wait: false }).catch((error) => error)
  ok(refused instanceof first.LockError && refused instanceof Error, 'an error of this copy')
  ok(refused.reason === 'held' && refused.holder.pid === process.pid, 'and who holds it')
  await unlock()
  const taken = await second
  ok(waited, 'it was told that it waits')
  // Another copy of the package, in the same process.
  reset()
  const other = await load()
  ok(other.tryLock !== first.tryLock, 'another copy')
  const third = other.tryLock(root)
  const outOfTime = await other.tryLock(root, { timeoutMs: 20 }).catch((error) => error)
  ok(outOfTime instanceof other.LockError && outOfTime.reason === 'held', 'its limit of time is real')
  await taken()
  const mine = await third
  ok(mine.token > taken.token && taken.token > unlock.token, 'tokens rise over copies')
  await mine()
  other.tryLockSync(root).sync()
  const aborted = new AbortController()
  const held = await other.tryLock(root)
  const waiting = other.tryLock(root, { signal: aborted.signal })
  aborted.abort()
  ok((await waiting.catch((error) => error)).reason === 'aborted', 'an abort ends a wait')
  await held()
  for (let copy = 0; copy < 50; copy++) {
    reset()
    const { tryLock } = await load()
    await (await tryLock(root))()
  }
}
`

const jest = `
const { check } = require('./user.cjs')
const load = async () => require('rootlock')
const reset = () => jest.resetModules()
afterEach(() => jest.useRealTimers())
test('real timers', () => check(load, () => {}, reset))
test('modern fake timers', () => check(load, () => jest.useFakeTimers(), reset))
test('legacy fake timers', () => check(load, () => jest.useFakeTimers({ legacyFakeTimers: true }), reset))
`

const vitest = `
import { createRequire } from 'node:module'
import { afterEach, test, vi } from 'vitest'
const { check } = createRequire(import.meta.url)('./user.cjs')
const load = () => import('rootlock')
const reset = () => vi.resetModules()
afterEach(() => void vi.useRealTimers())
test('real timers', () => check(load, () => {}, reset))
test('fake timers', () => check(load, () => vi.useFakeTimers(), reset))
test('all that can be faked', () =>
  check(load, () => vi.useFakeTimers({ toFake: ['setTimeout', 'setInterval', 'setImmediate', 'Date', 'performance', 'queueMicrotask'] }), reset))
`

async function project(dependencies: Record<string, string>, files: Record<string, string>) {
  const folder = await temporary()
  await write(folder, {
    'package.json': {
      name: 'user',
      version: '1.0.0',
      private: true,
      dependencies: { rootlock: '*', ...dependencies }
    },
    '.npmrc': `registry=${url}\n`,
    'user.cjs': user,
    ...files
  })
  await node(folder, [npm, 'install', '--ignore-scripts'])
  return folder
}

for (const environment of ['node', 'jsdom']) {
  test(`jest, environment ${environment}`, async () => {
    const more = environment === 'jsdom' ? { 'jest-environment-jsdom': JEST } : {}
    const folder = await project({ jest: JEST, ...more }, { 'user.test.cjs': jest })
    await node(folder, [
      'node_modules/jest/bin/jest.js',
      '--testMatch=**/*.test.cjs',
      `--env=${environment}`,
      '--detectOpenHandles'
    ])
  })
}

for (const pool of ['forks', 'threads', 'vmThreads']) {
  test(`vitest, pool ${pool}`, async () => {
    const inline = 'export default { test: { server: { deps: { inline: ["rootlock"] } } } }\n'
    const files = { 'user.test.mjs': vitest, 'vitest.config.mjs': inline }
    const folder = await project({ vitest: VITEST }, files)
    await node(folder, ['node_modules/vitest/vitest.mjs', 'run', `--pool=${pool}`])
  })
}
