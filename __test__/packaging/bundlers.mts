// `npm run check -- bundlers`: each example of examples/bundlers is built beside an installed package, moved to
// a place without node_modules, and run.

import assert from 'node:assert/strict'
import {
  copyFile,
  cp,
  mkdir,
  readdir,
  readFile,
  rename,
  symlink,
  writeFile
} from 'node:fs/promises'
import { join } from 'node:path'
import test, { before } from 'node:test'

import { checkout, manifest, pack, platforms } from '../../scripts/pack.mjs'
import { binary, node, run, temporary, tools } from './tools.mjs'

const examples = join(checkout, 'examples', 'bundlers')
const names = (await readdir(examples, { withFileTypes: true }))
  .filter((entry) => entry.isDirectory())
  .map(({ name }) => name)

let app: string

before(async () => {
  const folder = await temporary()
  app = join(folder, 'app')
  await cp(examples, app, { recursive: true })
  await symlink(join(tools, 'node_modules'), join(folder, 'node_modules'), 'junction')
  const binaries = join(folder, 'binaries')
  await mkdir(binaries)
  for (const platform of platforms) {
    const { name, main } = manifest(platform)
    await writeFile(join(binaries, main), name)
  }
  await copyFile(join(checkout, binary), join(binaries, binary))
  const packages = await pack(binaries, join(folder, 'packages'))
  for (const { name } of packages) {
    if (name !== 'rootlock' && binary !== `rootlock.${name.replace('@rootlock/binding-', '')}.node`)
      continue
    await cp(join(folder, 'packages', name), join(app, 'node_modules', name), { recursive: true })
  }
})

test('there is an example for each', () => {
  assert.deepEqual(names.toSorted(), [
    'bun',
    'esbuild',
    'esbuild-esm',
    'ncc',
    'rolldown',
    'rollup',
    'sea',
    'vite',
    'webpack'
  ])
})

for (const name of names) {
  test(name, async () => {
    const { build, start } = (
      JSON.parse(await readFile(join(examples, name, 'package.json'), 'utf8')) as {
        scripts: { build: string; start: string }
      }
    ).scripts
    assert.ok(build.length > 0)
    await node(join(app, name), [process.env['npm_execpath']!, 'run', 'build'])
    const elsewhere = await temporary()
    await rename(join(app, name, 'dist'), join(elsewhere, 'dist'))
    const [program, ...args] = start.split(' ')
    assert.equal(
      await run(elsewhere, program === 'node' ? process.execPath : join(elsewhere, program!), args),
      'locked\n'
    )
  })
}

test('without its binding, a bundle says where it looked', async () => {
  await node(join(app, 'rolldown'), [
    process.env['npm_execpath']!,
    'exec',
    'rolldown',
    '--',
    '--config'
  ])
  const elsewhere = await temporary()
  await rename(join(app, 'rolldown', 'dist'), join(elsewhere, 'dist'))
  await assert.rejects(run(elsewhere, process.execPath, ['dist/main.mjs']), (error: Error) => {
    assert.ok(
      error.message.includes(`${join(elsewhere, 'dist', binary)}: not found`),
      error.message
    )
    assert.match(error.message, /docs\/bundling\.md/)
    return true
  })
})
