// `npm run check -- install`: the packages, published to a registry on this machine and installed
// from there as users install it, with install scripts blocked.

import assert from 'node:assert/strict'
import { copyFile, readdir, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import test, { before } from 'node:test'

import { checkGlibc } from '../../scripts/glibc.mjs'
import { checkout, listed, manifest, type Packed } from '../../scripts/pack.mjs'
import { publish } from '../../scripts/publish.mjs'
import { commonjs, esm, server, typed } from './programs.mjs'
import { published } from './published.mjs'
import { yarnSettings } from './registry.mjs'
import { binary, node, program, run, target, temporary, tools, write } from './tools.mjs'

const npm = process.env['npm_execpath']!
let url: string
let packages: Packed[]

/** A platform's package, of the root package or of the one for servers. */
const isPlatform = ({ name }: Packed) => /^@rootlock\/(?:binding|remote)-/.test(name)
const ofRoot = ({ name }: Packed) => name.startsWith('@rootlock/binding-')

before(async () => {
  ;({ url, packages } = await published())
})

/** A folder that contains only programs that use the package. */
async function project(type: 'commonjs' | 'module' = 'module'): Promise<string> {
  const folder = await temporary()
  await write(folder, {
    'package.json': { name: 'user', version: '1.0.0', private: true, type },
    '.npmrc': `registry=${url}\n`,
    'esm.mjs': esm,
    'commonjs.cjs': commonjs
  })
  const script = 'copy-binding.mjs'
  await copyFile(join(checkout, 'examples', 'bundlers', script), join(folder, script))
  return folder
}

async function locks(folder: string, ...runner: string[]): Promise<void> {
  for (const file of ['esm.mjs', 'commonjs.cjs']) {
    assert.equal(await node(folder, [...runner, file]), 'locked\n', file)
  }
  // A bundle gets its binding whatever the layout.
  await node(folder, [...runner, 'copy-binding.mjs', '.'])
  assert.ok((await readdir(folder)).includes(binary))
}

async function installNpm(folder: string, ...args: string[]): Promise<void> {
  await node(folder, [npm, 'install', 'rootlock', '--ignore-scripts', ...args])
}

test('the root package contains what __test__/package/package.test.mts says, and names every platform', async () => {
  const folder = await unpacked('rootlock')
  assert.deepEqual(await list(folder), [...(await listed(checkout)), 'package.json'].toSorted())
  const { optionalDependencies, dependencies, scripts, devDependencies, version } = manifest(folder)
  assert.deepEqual(
    optionalDependencies,
    Object.fromEntries(packages.filter(ofRoot).map(({ name }) => [name, version]))
  )
  assert.deepEqual([dependencies, scripts, devDependencies], [undefined, undefined, undefined])
  const { peerDependencies, peerDependenciesMeta } = manifest(folder)
  assert.deepEqual(peerDependencies, { '@rootlock/remote': version })
  assert.deepEqual(peerDependenciesMeta, { '@rootlock/remote': { optional: true } })
})

test("a platform's package contains one binary, and says what it is for", async () => {
  for (const { name } of packages.filter(isPlatform)) {
    const folder = await unpacked(name)
    const { main, os, cpu, scripts } = manifest(folder)
    assert.deepEqual(await list(folder), ['LICENSE', 'README.md', 'package.json', main])
    assert.ok(Array.isArray(os) && Array.isArray(cpu) && !scripts, name)
  }
})

test('a binary that needs a newer glibc than 2.17 is detected', async () => {
  const file = join(await temporary(), 'rootlock.linux-x64-gnu.node')
  await writeFile(file, 'ELF\0GLIBC_2.2.5\0GLIBC_2.17\0')
  checkGlibc(file)
  await writeFile(file, 'ELF\0GLIBC_2.2.5\0GLIBC_2.18\0')
  assert.throws(() => checkGlibc(file), /wants glibc 2\.18/)
  await writeFile(file, 'not a binary')
  assert.throws(() => checkGlibc(file), /names no version of glibc/)
})

test('publint finds nothing', async () => {
  for (const { tarball } of packages) {
    await node(dirname(tarball), [program('publint'), 'run', tarball, '--strict'])
  }
})

test('attw finds no wrong types', async () => {
  const { tarball } = packages.find(({ name }) => name === 'rootlock')!
  const said = await node(dirname(tarball), [program('@arethetypeswrong/cli', 'attw'), tarball])
  assert.match(said, /No problems found/)
})

test('a published package is not published again', async () => {
  // npm would refuse, and this throw.
  await publish(packages, ['--registry', url], [])
})

test('npm', async () => {
  const folder = await project()
  await installNpm(folder)
  assert.deepEqual(await readdir(join(folder, 'node_modules', '@rootlock')), [`binding-${target}`])
  await locks(folder)
  for (const command of Object.keys((manifest(checkout)['bin'] ?? {}) as Record<string, string>)) {
    assert.match(
      await node(folder, [npm, 'exec', '--offline', '--', command, '--help']),
      /^rootlock: /
    )
  }
})

test('the package for servers contains its loader, and names every platform', async () => {
  const folder = await unpacked('@rootlock/remote')
  assert.deepEqual(await list(folder), [
    'LICENSE',
    'README.md',
    'index.d.ts',
    'index.js',
    'package.json'
  ])
  const { optionalDependencies, scripts, napi, version } = manifest(folder)
  const named = packages.filter((each) => isPlatform(each) && !ofRoot(each))
  assert.deepEqual(
    optionalDependencies,
    Object.fromEntries(named.map(({ name }) => [name, version]))
  )
  assert.deepEqual([scripts, napi], [undefined, undefined])
})

/** With the package for servers, a server that is not there is said to be not there. */
async function opensServers(folder: string, ...runner: string[]): Promise<void> {
  await write(folder, { 'server.mjs': server })
  assert.equal(
    await node(folder, [...runner, 'server.mjs']),
    'ERR_LOCK_UNSUCCESSFUL ECONNREFUSED\n'
  )
}

test('npm, with the package for servers', async () => {
  const folder = await project()
  await installNpm(folder)
  await write(folder, { 'server.mjs': server })
  await assert.rejects(node(folder, ['server.mjs']), /npm install @rootlock\/remote@\d/)
  await installNpm(folder, '@rootlock/remote')
  await opensServers(folder)
  await locks(folder)
})

test('pnpm, with the package for servers', async () => {
  const folder = await project()
  const store = await temporary()
  const names = ['rootlock', '@rootlock/remote']
  await node(folder, [program('pnpm'), 'add', ...names, '--ignore-scripts', '--store-dir', store])
  await opensServers(folder)
})

test('yarn berry, pnp, with the package for servers', async () => {
  const folder = await project()
  await write(folder, yarnSettings(url, 'pnp'))
  const yarn = program('@yarnpkg/cli-dist', 'yarn')
  await node(folder, [yarn, 'add', 'rootlock', '@rootlock/remote'])
  await opensServers(folder, yarn, 'node')
})

test('npm without optional dependencies: the error says so', async () => {
  const folder = await project()
  await installNpm(folder, '--omit=optional')
  await assert.rejects(locks(folder), (error: Error) => {
    assert.match(error.message, new RegExp(`@rootlock/binding-${target}: not found`))
    assert.match(error.message, /without --omit=optional/)
    return true
  })
})

test('npm for another platform: the error names it', async () => {
  const folder = await project()
  await installNpm(folder, '--os=win32', '--cpu=x64')
  await assert.rejects(
    locks(folder),
    /@rootlock\/binding-win32-x64-msvc is installed: node_modules/
  )
})

test('pnpm', async () => {
  const folder = await project()
  const store = await temporary()
  await node(folder, [program('pnpm'), 'add', 'rootlock', '--ignore-scripts', '--store-dir', store])
  await locks(folder)
})

test('yarn classic', async () => {
  const folder = await project()
  const cache = await temporary()
  const quiet = [
    '--ignore-scripts',
    '--non-interactive',
    '--no-default-rc',
    '--cache-folder',
    cache
  ]
  await node(folder, [program('yarn'), 'add', 'rootlock', ...quiet, '--registry', url])
  // It ignores libc, so both Linux packages may be installed: the right one is used.
  await locks(folder)
})

for (const nodeLinker of ['node-modules', 'pnp', 'pnpm']) {
  test(`yarn berry, ${nodeLinker}`, async () => {
    const folder = await project()
    await write(folder, yarnSettings(url, nodeLinker))
    const yarn = program('@yarnpkg/cli-dist', 'yarn')
    await node(folder, [yarn, 'add', 'rootlock'])
    await locks(folder, yarn, 'node')
  })
}

test('TypeScript: every module resolution, as ES module and as CommonJS', async () => {
  for (const type of ['module', 'commonjs'] as const) {
    const folder = await project(type)
    await installNpm(folder)
    await write(folder, { 'app.ts': typed, 'app.mts': typed, 'app.cts': typed })
    for (const [module, moduleResolution] of [
      ['node16', 'node16'],
      ['node20', 'node16'],
      ['nodenext', 'nodenext'],
      ['preserve', 'bundler'],
      ['esnext', 'bundler']
    ] as const) {
      const outDir = join(folder, module)
      await write(folder, {
        'tsconfig.json': {
          compilerOptions: {
            module,
            moduleResolution,
            outDir,
            rootDir: '.',
            target: 'es2022',
            strict: true,
            exactOptionalPropertyTypes: true,
            skipLibCheck: false,
            typeRoots: [join(tools, 'node_modules', '@types')],
            types: ['node']
          },
          include: ['app.*']
        }
      })
      await node(folder, [program('typescript5', 'tsc'), '--project', folder])
      await node(folder, [program('typescript', 'tsc'), '--project', folder])
      if (moduleResolution === 'bundler') continue
      for (const file of ['app.js', 'app.mjs', 'app.cjs']) {
        assert.equal(
          await node(folder, [join(outDir, file)]),
          'locked\n',
          `${type} ${module} ${file}`
        )
      }
    }
  }
})

async function unpacked(name: string): Promise<string> {
  const { tarball } = packages.find((each) => each.name === name)!
  const folder = await temporary()
  await run(folder, 'tar', ['-xzf', tarball])
  return join(folder, 'package')
}

async function list(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true })
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1))
    .toSorted()
}
