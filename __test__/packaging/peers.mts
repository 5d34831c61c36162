// `npm run check -- peers`: a program from npm that locks by proper-lockfile, as it is and with rootlock in its
// place, named as each package manager wants it. proper-lockfile's own tests are not in its published package;
// what its README says is tested by __test__/package/proper-lockfile.test.mts.

import assert from 'node:assert/strict'
import test, { before } from 'node:test'

import { npm as ask } from '../../scripts/npm.mjs'
import { checkout } from '../../scripts/pack.mjs'
import { published } from './published.mjs'
import { yarnSettings } from './registry.mjs'
import { node, program, temporary, write } from './tools.mjs'

const npm = process.env['npm_execpath']!

/** It locks a file that it writes, with `fs`, `realpath: false` and no retries. */
const dependencies = { 'fs-json-store': '8.0.1' }
const replaced = { 'proper-lockfile': 'npm:@rootlock/proper-lockfile' }

let url: string

before(async () => {
  const upstream = await ask(['config', 'get', 'registry'], checkout)
  ;({ url } = await published(upstream.trim()))
})

const user = `
const assert = require('node:assert/strict')
const { statSync } = require('node:fs')
const { createRequire } = require('node:module')
const { Store } = require('fs-json-store')

// The copy that the program has.
const lockfile = createRequire(require.resolve('fs-json-store'))('proper-lockfile')

async function main() {
  const store = new Store({ file: 'data.json', optimisticLocking: true })
  let stored = await store.write({ count: 1 })
  const release = await lockfile('data.json')
  await assert.rejects(store.write({ ...stored, count: 2 }), { code: 'ELOCKED' })
  await release()
  for (let count = 2; count < 10; count++) stored = await store.write({ ...stored, count })
  assert.deepEqual(await store.read(), { count: 9, _rev: 8 })
  // rootlock leaves its file, proper-lockfile removes its directory.
  console.log(statSync('data.json.lock', { throwIfNoEntry: false })?.isFile() ? 'rootlock' : 'proper-lockfile')
}
main()
`

/** As an ES module, by names that Node has to find through two CommonJS modules. */
const named = `
import { writeFileSync } from 'node:fs'
import lockfile, { check, lock, unlockSync } from 'proper-lockfile'

writeFileSync('named.json', '')
await lock('named.json')
const isLocked = await check('named.json')
unlockSync('named.json')
console.log(isLocked && !lockfile.checkSync('named.json') ? 'locked' : 'not locked')
`

/** Programs that have one and the other: never two holders, and once rootlock's file is there, it is rootlock's lock. */
const mixed = `
const assert = require('node:assert/strict')
const { rmSync, utimesSync, writeFileSync } = require('node:fs')
const old = require('proper-lockfile')
const ours = require('@rootlock/proper-lockfile')

async function main() {
  writeFileSync('data.json', '')
  const release = await ours.lock('data.json')
  await assert.rejects(old.lock('data.json'), { code: 'ELOCKED' })
  assert.equal(await old.check('data.json'), true)
  await release()
  await assert.rejects(old.lock('data.json'), { code: 'ELOCKED' })
  utimesSync('data.json.lock', 1, 1)
  assert.equal(await old.check('data.json'), false)
  await assert.rejects(old.lock('data.json', { retries: [1, 1] }), { code: 'ENOTDIR', syscall: 'rmdir' })
  await (await ours.lock('data.json'))()
  rmSync('data.json.lock')

  const releaseOld = await old.lock('data.json')
  await assert.rejects(ours.lock('data.json'), { code: 'ELOCKED' })
  assert.equal(await ours.check('data.json'), true)
  const waiting = ours.lock('data.json', { retries: 5 })
  await releaseOld()
  await (await waiting)()
  rmSync('data.json.lock')

  // A lock of either keeps no process alive.
  const alive = setInterval(() => {}, 1000)
  const told = new Promise((onCompromised) => old.lock('data.json', { stale: 2000, onCompromised }).then(async () => {
    utimesSync('data.json.lock', 1, 1)
    await ours.lock('data.json')
  }))
  assert.equal((await told).code, 'ECOMPROMISED')
  clearInterval(alive)
  assert.equal(await ours.check('data.json'), true)
  console.log('never two')
}
main()
`

async function project(more: object, files: Record<string, string | object> = {}): Promise<string> {
  const folder = await temporary()
  await write(folder, {
    'package.json': { name: 'user', version: '1.0.0', private: true, dependencies, ...more },
    '.npmrc': `registry=${url}\n`,
    'user.cjs': user,
    'named.mjs': named,
    ...files
  })
  return folder
}

test('npm without overrides', async () => {
  const folder = await project({})
  await node(folder, [npm, 'install', '--ignore-scripts'])
  assert.equal(await node(folder, ['user.cjs']), 'proper-lockfile\n')
  assert.equal(await node(folder, ['named.mjs']), 'locked\n')
})

test('npm with overrides', async () => {
  const folder = await project({ overrides: replaced })
  await node(folder, [npm, 'install', '--ignore-scripts'])
  assert.equal(await node(folder, ['user.cjs']), 'rootlock\n')
  assert.equal(await node(folder, ['named.mjs']), 'locked\n')
})

test('pnpm with pnpm.overrides', async () => {
  const folder = await project({ pnpm: { overrides: replaced } })
  const store = await temporary()
  await node(folder, [program('pnpm'), 'install', '--ignore-scripts', '--store-dir', store])
  assert.equal(await node(folder, ['user.cjs']), 'rootlock\n')
})

test('yarn classic with resolutions', async () => {
  const folder = await project({ resolutions: replaced })
  const quiet = ['--ignore-scripts', '--non-interactive', '--no-default-rc']
  const cache = ['--cache-folder', await temporary()]
  await node(folder, [program('yarn'), 'install', ...quiet, ...cache, '--registry', url])
  assert.equal(await node(folder, ['user.cjs']), 'rootlock\n')
})

for (const nodeLinker of ['node-modules', 'pnp', 'pnpm']) {
  test(`yarn berry with resolutions, ${nodeLinker}`, async () => {
    // It wants a range.
    const resolutions = { 'proper-lockfile': `${replaced['proper-lockfile']}@*` }
    const folder = await project({ resolutions }, yarnSettings(url, nodeLinker))
    const yarn = program('@yarnpkg/cli-dist', 'yarn')
    await node(folder, [yarn, 'install'])
    assert.equal(await node(folder, [yarn, 'node', 'user.cjs']), 'rootlock\n')
  })
}

test('proper-lockfile beside rootlock', async () => {
  const folder = await project({}, { 'mixed.cjs': mixed })
  const both = ['proper-lockfile@4.1.2', '@rootlock/proper-lockfile']
  await node(folder, [npm, 'install', '--ignore-scripts', ...both])
  assert.equal(await node(folder, ['mixed.cjs']), 'never two\n')
})
