import { execFile } from 'node:child_process'
import { copyFile, mkdir, readdir, readFile, realpath, writeFile } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

import test, { type ExecutionContext } from 'ava'

import { temporaryRoot } from '../helpers/temporary-root.mjs'

const run = promisify(execFile)

const built = dirname(fileURLToPath(import.meta.resolve('rootlock')))
// The binding that was loaded; beside it there may be others, for other platforms.
await import('rootlock')
const { sharedObjects } = process.report.getReport() as unknown as { sharedObjects: string[] }
const binary = basename(sharedObjects.find((path) => path.endsWith('.node'))!)
const target = binary.split('.')[1]!

/** The package as installed, but without a binding. */
async function withoutBinding(t: ExecutionContext): Promise<string> {
  const at = join(await realpath(await temporaryRoot(t)), 'node_modules', 'rootlock')
  await mkdir(at, { recursive: true })
  for (const file of ['package.json', 'index.js', 'index.mjs']) {
    await copyFile(join(built, file), join(at, file))
  }
  return at
}

/** A package for a platform, beside ours. */
async function installed(at: string, platform: string): Promise<string> {
  const name = join(at, '..', '@rootlock', `binding-${platform}`)
  const main = `rootlock.${platform}.node`
  await mkdir(name, { recursive: true })
  await writeFile(join(name, 'package.json'), JSON.stringify({ main }))
  return join(name, main)
}

interface Loaded {
  code: string
  message: string
  cause: string
  names: string[]
}

/** What a fresh process prints on importing it. */
async function load(at: string, before = ''): Promise<Loaded> {
  const code = `${before}
    import('rootlock').then(
      (module) => ({ names: Object.keys(module) }),
      ({ code, message, cause }) => ({ code, message, cause: cause?.message })
    ).then((said) => console.log(JSON.stringify(said)))`
  const { stdout } = await run(process.execPath, ['--eval', code], { cwd: dirname(at) })
  return JSON.parse(stdout) as Loaded
}

test('the loader knows exactly the platforms that have packages', async (t) => {
  const packages = (await readdir(join(built, 'npm'))).toSorted()
  const face = await readFile(join(built, 'index.js'), 'utf8')
  const required = [...face.matchAll(/require\("@rootlock\/binding-(.*?)"\)/g)].map(
    ([, name]) => name
  )
  t.deepEqual(required.toSorted(), packages)
  const { message } = await load(await withoutBinding(t), elsewhere('sunos', 'x64'))
  t.true(message.includes(`packages for ${packages.join(', ')}.`), message)
})

async function version(path: string): Promise<string> {
  const text = await readFile(join(built, path, 'package.json'), 'utf8')
  return (JSON.parse(text) as { version: string }).version
}

test('all packages are of one version', async (t) => {
  for (const name of await readdir(join(built, 'npm'))) {
    t.is(await version(join('npm', name)), await version('.'), name)
  }
  // The face and the binding agree, else nothing here would run.
  const at = await withoutBinding(t)
  t.true((await load(at)).message.startsWith(`rootlock ${await version('.')} has no`))
})

test('without a binding, the error names the platform, what was tried and what to do', async (t) => {
  const at = await withoutBinding(t)
  const { code, message } = await load(at)
  t.is(code, 'ERR_DLOPEN_FAILED')
  t.regex(message, new RegExp(`no native binding for this process: ${target}, node v`))
  t.true(message.includes(`${join(at, binary)}: not found`), message)
  t.true(message.includes(`@rootlock/binding-${target}: not found`), message)
  t.regex(message, /without --omit=optional/)
  t.regex(message, /docs\/bundling\.md/)
})

test('a node_modules from another platform is distinguished from one without optional dependencies', async (t) => {
  const at = await withoutBinding(t)
  await writeFile(await installed(at, 'win32-ia32-msvc'), '')
  const { message } = await load(at)
  t.regex(
    message,
    /@rootlock\/binding-win32-ia32-msvc is installed: node_modules comes from another/
  )
})

test('a platform without a package is named, along with those that have one', async (t) => {
  const { message } = await load(await withoutBinding(t), elsewhere('linux', 's390x'))
  t.regex(message, /for this process: linux-s390x-(gnu|musl), /)
  t.regex(message, /build from source/)
})

/** An executable that says that musl loads it; its numbers are of 64 bits. */
function executable(interpreter: string, littleEndian: boolean): Uint8Array {
  const [HEADER, ENTRY, INTERPRETER] = [64, 56, 3]
  const words = new DataView(new ArrayBuffer(HEADER + ENTRY + interpreter.length))
  words.setUint8(5, littleEndian ? 1 : 2)
  words.setBigUint64(32, BigInt(HEADER), littleEndian)
  words.setUint16(54, ENTRY, littleEndian)
  words.setUint16(56, 1, littleEndian)
  words.setUint32(HEADER, INTERPRETER, littleEndian)
  words.setBigUint64(HEADER + 8, BigInt(HEADER + ENTRY), littleEndian)
  words.setBigUint64(HEADER + 32, BigInt(interpreter.length), littleEndian)
  const bytes = new Uint8Array(words.buffer)
  bytes.set(Buffer.from(interpreter), HEADER + ENTRY)
  return bytes
}

for (const [processor, named, littleEndian] of [
  ['arm64', 'aarch64', true],
  ['loong64', 'loongarch64', true],
  ['ppc64', 'powerpc64le', true],
  ['riscv64', 'riscv64', true],
  ['s390x', 's390x', false],
  ['x64', 'x86_64', true]
] as const) {
  test(`an executable for musl is recognised on ${processor}`, async (t) => {
    const at = await withoutBinding(t)
    const loader = `/lib/ld-musl-${named}.so.1`
    const program = join(at, 'program')
    await writeFile(program, executable(loader, littleEndian))
    const [path, there] = [program, loader].map((text) => JSON.stringify(text))
    const { message } = await load(
      at,
      `${elsewhere('linux', processor)}
      require('node:fs').existsSync = (path) => path === ${there}
      process.execPath = ${path}`
    )
    t.true(message.includes(`for this process: linux-${processor}-musl, `), message)
  })
}

test('a binding that does not load is named with the system’s reason', async (t) => {
  const at = await withoutBinding(t)
  await writeFile(await installed(at, target), 'cut short')
  const { code, message, cause } = await load(at)
  t.is(code, 'ERR_DLOPEN_FAILED')
  t.regex(message, new RegExp(`@rootlock/binding-${target}: .*\\w`))
  t.true(message.includes(cause.split('\n', 1)[0]!), message)
  t.regex(message, /the system refuses it/)
})

test('if addons are disabled, the advice is to enable them, not to install', async (t) => {
  const at = await withoutBinding(t)
  await copyFile(join(built, binary), join(at, binary))
  const permission = process.allowedNodeEnvironmentFlags.has('--permission')
    ? '--permission'
    : '--experimental-permission'
  for (const flags of [['--no-addons'], [permission, '--allow-fs-read=*']]) {
    const code = `try { require('rootlock') } catch ({ code, message }) { console.log(JSON.stringify({ code, message })) }`
    const { stdout } = await run(process.execPath, [...flags, '--eval', code], { cwd: dirname(at) })
    const { code: coded, message } = JSON.parse(stdout) as Loaded
    t.is(coded, 'ERR_DLOPEN_FAILED', flags.join(' '))
    t.regex(message, /without --no-addons, or, under its permission\s+model,\s+with --allow-addons/)
    t.notRegex(message, /omit=optional|Install (again|on)|refuses it/)
  }
})

test('a binding of another version is refused', async (t) => {
  const at = await withoutBinding(t)
  await copyFile(join(built, binary), join(at, binary))
  const face = await readFile(join(at, 'index.js'), 'utf8')
  await writeFile(join(at, 'index.js'), face.replace(/version = ".*"/, 'version = "0.0.9"'))
  const { message } = await load(at)
  t.regex(message, /has version \d+\.\d+\.\d+.*, not 0\.0\.9/)
  t.regex(message, /The versions must match/)
})

test('the file beside the face is used, else the package of the platform', async (t) => {
  const at = await withoutBinding(t)
  await writeFile(join(at, binary), 'cut short')
  await copyFile(join(built, binary), await installed(at, target))
  t.true((await load(at)).names?.includes('tryLock'))
  await writeFile(await installed(at, target), 'cut short')
  await copyFile(join(built, binary), join(at, binary))
  t.true((await load(at)).names?.includes('tryLock'))
})

function elsewhere(platform: string, arch: string): string {
  return `Object.defineProperties(process, {
    platform: { value: '${platform}' }, arch: { value: '${arch}' }
  })`
}
