// How the face finds the binding for servers, which is in a package of its own.

import { execFile } from 'node:child_process'
import { copyFile, mkdir, readdir, readFile, realpath, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

import test, { type ExecutionContext } from 'ava'

import { temporaryRoot } from '../helpers/temporary-root.mjs'

const run = promisify(execFile)

const built = dirname(fileURLToPath(import.meta.resolve('rootlock')))
const remote = join(built, 'packages', 'remote')

/** The package as installed, with its binding; another one may lie beside it. */
async function installed(t: ExecutionContext): Promise<string> {
  const at = join(await realpath(await temporaryRoot(t)), 'node_modules', 'rootlock')
  await mkdir(at, { recursive: true })
  const bindings = (await readdir(built)).filter((name) => /^rootlock\..*\.node$/.test(name))
  for (const file of ['package.json', 'index.js', 'index.mjs', ...bindings]) {
    await copyFile(join(built, file), join(at, file))
  }
  return at
}

/** A package in our scope, beside it. */
async function beside(at: string, name: string, index: string): Promise<void> {
  const folder = join(at, '..', '@rootlock', name)
  await mkdir(folder, { recursive: true })
  await writeFile(join(folder, 'package.json'), '{"main":"index.js"}')
  await writeFile(join(folder, 'index.js'), index)
}

/** The error of opening a server's root in a fresh process, which locks a directory before. */
async function open(at: string): Promise<{ code: string; message: string }> {
  const code = `
    const { openRoot, tryLock } = require('rootlock')
    tryLock('.').then((unlock) => unlock()).then(() => openRoot('postgres://app:hush@127.0.0.1:1/app'))
      .catch(({ code, message }) => console.log(JSON.stringify({ code, message })))`
  const { stdout } = await run(process.execPath, ['--eval', code], { cwd: dirname(at) })
  return JSON.parse(stdout) as { code: string; message: string }
}

const version = async (path: string) =>
  (JSON.parse(await readFile(join(path, 'package.json'), 'utf8')) as { version: string }).version

test('its loader knows exactly the platforms that have packages', async (t) => {
  const packages = (await readdir(join(remote, 'npm'))).toSorted()
  const loader = await readFile(join(remote, 'index.js'), 'utf8')
  const required = [...loader.matchAll(/require\("@rootlock\/remote-(.*?)"\)/g)]
  t.deepEqual(required.map(([, name]) => name).toSorted(), packages)
  t.deepEqual(packages, (await readdir(join(built, 'npm'))).toSorted())
})

test('its packages are of the version of the root package', async (t) => {
  t.is(await version(remote), await version(built))
  for (const name of await readdir(join(remote, 'npm'))) {
    t.is(await version(join(remote, 'npm', name)), await version(built), name)
  }
})

test('without it, directories are locked, and a server says what to install', async (t) => {
  const { code, message } = await open(await installed(t))
  t.is(code, 'ERR_DLOPEN_FAILED')
  t.true(message.includes(`npm install @rootlock/remote@${await version(built)}`), message)
  t.regex(message, /@rootlock\/remote: not found/)
  t.false(message.includes('hush'))
})

test('one of another version is refused', async (t) => {
  const at = await installed(t)
  await beside(at, 'remote', "exports.VERSION = '0.0.9'")
  const { code, message } = await open(at)
  t.is(code, 'ERR_DLOPEN_FAILED')
  t.regex(message, /@rootlock\/remote: has version 0\.0\.9, not \d/)
  t.regex(message, /npm install @rootlock\/remote@\d/)
})

test("one without its platform's binding says so itself", async (t) => {
  const at = await installed(t)
  await beside(at, 'remote', await readFile(join(remote, 'index.js'), 'utf8'))
  const { code, message } = await open(at)
  t.is(code, 'ERR_DLOPEN_FAILED')
  t.regex(message, /^rootlock-remote \d.* has no native binding for this process/)
  t.regex(message, /@rootlock\/remote-\S+: not found/)
  await beside(at, 'remote-win32-ia32-msvc', '')
  t.regex((await open(at)).message, /@rootlock\/remote-win32-ia32-msvc is installed: node_modules/)
})

test('who locks directories does not load it', async (t) => {
  const at = await installed(t)
  await beside(at, 'remote', "console.log('loaded'); exports.VERSION = '0.0.9'")
  const code = `
    const { openRoot, tryLock, withLock } = require('rootlock')
    openRoot('.').then((root) => withLock(root, () => console.log('locked')))`
  const { stdout } = await run(process.execPath, ['--eval', code], { cwd: dirname(at) })
  t.is(stdout, 'locked\n')
})
