// Node's permission model: what has to be allowed, and what the error says where it is not.

import { copyFile, mkdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

import test, { type ExecutionContext } from 'ava'
import { tryLock } from 'rootlock'

import { fixture, program } from '../helpers/child.mjs'
import { hold } from '../helpers/locks.mjs'
import { linux, needing, notWine } from '../helpers/needing.mjs'
import { home, isOneLock, permissionModel, permitted, withAddons } from '../helpers/restricted.mjs'
import { temporaryRoot } from '../helpers/temporary-root.mjs'

const modelled = needing(test, withAddons, notWine)

const read = (path: string) => `--allow-fs-read=${path}`

/** Enough for all that does not name a file's lock. */
const ENOUGH = ['--allow-addons', read(join(home, '*'))]

/** Runs Node under the model to its end. */
async function node(t: ExecutionContext, flags: string[], ...args: string[]) {
  const started = program(t, process.execPath, [
    permissionModel,
    '--no-warnings',
    ...flags,
    ...args
  ])
  const { code } = await started.ends()
  return { code, printed: started.printed }
}

const rootlock = (t: ExecutionContext, flags: string[], ...args: string[]) =>
  node(t, flags, join(home, 'cli.js'), ...args)

modelled('addons and the package have to be allowed, the locked directory not', async (t) => {
  const root = await temporaryRoot(t)
  await isOneLock(t, root, () => permitted(t, ENOUGH, 'holder', { root }))
  const unlock = await hold(t, root)
  const seen = (await permitted(t, ENOUGH, 'inspector', { root }).says('seen')) as unknown as {
    state: string
    holder: { pid: number }
  }
  t.is(seen.state, 'exclusive')
  t.is(seen.holder.pid, process.pid)
  await unlock()
})

modelled('a call that blocks needs no more than one that waits', async (t) => {
  const root = await temporaryRoot(t)
  const line = [permissionModel, ...ENOUGH, fixture('sync'), JSON.stringify({ root })]
  const started = program(t, process.execPath, line)
  await started.prints('held ')
  await t.throwsAsync(tryLock(root, { wait: false }), { code: 'ERR_LOCK_UNSUCCESSFUL' })
  started.process.stdin!.end()
  await started.ends()
  t.regex(started.printed, /^unlocked$/m)
})

modelled('if addons are not allowed, the error names the flag', async (t) => {
  const root = await temporaryRoot(t)
  const { code, printed } = await rootlock(t, [read(join(home, '*'))], 'status', root)
  t.is(code, 69)
  t.regex(printed, /with --allow-addons/)
  t.notRegex(printed, /npm|Install|^ +at /m)
})

modelled('if the package may not be read, Node itself says so', async (t) => {
  const { code, printed } = await node(
    t,
    ['--allow-addons'],
    '--input-type=module',
    '--eval',
    `await import(${JSON.stringify(join(home, 'index.mjs'))})`
  )
  t.not(code, 0)
  t.regex(printed, /ERR_ACCESS_DENIED/)
  t.regex(printed, /FileSystemRead/)
})

/** The package as installed: its files, and the package of the binding beside it. */
async function installed(t: ExecutionContext) {
  const modules = join(await temporaryRoot(t), 'node_modules')
  const face = join(modules, 'rootlock')
  const { target, file } = await binding()
  const addon = join(modules, '@rootlock', `binding-${target}`)
  for (const folder of [face, addon]) await mkdir(folder, { recursive: true })
  for (const name of ['package.json', 'index.js'])
    await copyFile(join(home, name), join(face, name))
  await copyFile(file, join(addon, 'binding.node'))
  await writeFile(join(addon, 'package.json'), JSON.stringify({ main: 'binding.node' }))
  return { face, addon, target }
}

/** The binding that is loaded here. */
async function binding(): Promise<{ target: string; file: string }> {
  await import('rootlock')
  const { sharedObjects } = process.report.getReport() as unknown as { sharedObjects: string[] }
  const file = sharedObjects.find((path) => /rootlock\.[^/\\]*\.node$/.test(path))!
  return { target: /rootlock\.([^/\\]*)\.node$/.exec(file)![1]!, file }
}

/** Loads that package, and prints how it went. */
const load = (face: string, before = '') => [
  '--eval',
  `${before}
  try { console.log(typeof require(${JSON.stringify(face)}).tryLock) } catch ({ code, message }) { console.log(code, message) }`
]

modelled(
  'the package may be read by its files, and beside it the one of the binding',
  async (t) => {
    const { face, addon } = await installed(t)
    const files = ['package.json', 'index.js'].map((name) => read(join(face, name)))
    const flags = ['--allow-addons', ...files, read(join(addon, '*'))]
    t.is((await node(t, flags, ...load(join(face, 'index.js')))).printed, 'function\n')
  }
)

modelled('if the binding may not be read, the error says what to allow', async (t) => {
  const { face, addon, target } = await installed(t)
  // As in a bundle: the file beside it is all that there could be.
  await rm(addon, { recursive: true })
  const files = ['package.json', 'index.js'].map((name) => read(join(face, name)))
  const { printed } = await node(t, ['--allow-addons', ...files], ...load(join(face, 'index.js')))
  t.regex(printed, /^ERR_DLOPEN_FAILED /)
  t.regex(printed, /--allow-fs-read for the folders of\s+rootlock and of @rootlock/)
  t.true(printed.includes(`rootlock.${target}.node`))
  t.notRegex(printed, /npm|Install/)
})

needing(
  test,
  withAddons,
  linux,
  process.arch === 'arm' && 'a processor with packages for two C libraries'
)('which C library it is can be told without reading a file', async (t) => {
  const { face } = await installed(t)
  const files = ['package.json', 'index.js'].map((name) => read(join(face, name)))
  const musl = `process.report.getReport = () => ({ header: {} })`
  const { printed } = await node(t, files, ...load(join(face, 'index.js'), musl))
  t.regex(printed, /no native binding for this process: linux-\w+-musl, /)
})

modelled('naming the lock of a file reads its path: the error names it and the flag', async (t) => {
  const root = await temporaryRoot(t)
  const path = join(root, 'data.json')
  const script = `import { file, tryLock } from ${JSON.stringify(join(home, 'index.mjs'))}
    try {
      const unlock = await tryLock(file(${JSON.stringify(path)}))
      await unlock()
      console.log('locked')
    } catch ({ name, code, reason, message, cause }) { console.log(name, code, reason, cause.code, message) }`
  const run = (...flags: string[]) =>
    node(t, [...ENOUGH, ...flags], '--input-type=module', '--eval', script)
  const refused = await run()
  t.regex(refused.printed, /^LockError ERR_LOCK_UNSUCCESSFUL system ERR_ACCESS_DENIED /)
  t.regex(
    refused.printed,
    /start Node with --allow-fs-read for '.*data\.json' and its directory\n$/
  )
  t.is((await run(read(join(root, '*')))).printed, 'locked\n')
})

modelled('a worker thread has to be allowed as any other, and locks', async (t) => {
  const root = await temporaryRoot(t)
  const work = `require(${JSON.stringify(join(home, 'index.js'))}).tryLock(${JSON.stringify(root)})
    .then((unlock) => { console.log('locked'); return unlock() })`
  const script = `new (require('node:worker_threads').Worker)(${JSON.stringify(work)}, { eval: true })`
  const run = (...flags: string[]) => node(t, [...ENOUGH, ...flags], '--eval', script)
  t.regex((await run()).printed, /ERR_ACCESS_DENIED/)
  t.is((await run('--allow-worker')).printed, 'locked\n')
})

modelled('the command needs child processes to run one, and says so', async (t) => {
  const root = await temporaryRoot(t)
  const line = ['run', root, '--', process.execPath, '-e', 'console.log("mine")']
  const refused = await rootlock(t, ENOUGH, ...line)
  t.is(refused.code, 69)
  t.regex(refused.printed, /^rootlock: Access to this API has been restricted/)
  t.regex(refused.printed, /start it with --allow-child-process\n$/)
  const ran = await rootlock(t, [...ENOUGH, '--allow-child-process'], ...line)
  t.is(ran.code, 0)
  // Newer versions of Node hand the flags on to the command, which warns of them.
  t.regex(ran.printed, /^mine$/m)
})

modelled('the command reports a lock where only the package may be read', async (t) => {
  const root = await temporaryRoot(t)
  await hold(t, root)
  const { code, printed } = await rootlock(t, ENOUGH, 'status', '--json', root)
  t.is(code, 0)
  t.is((JSON.parse(printed) as { state: string }).state, 'exclusive')
})

modelled('the doctor says which flags it needs to look at a directory', async (t) => {
  const root = await temporaryRoot(t)
  const blind = await rootlock(t, ENOUGH, 'doctor', root)
  t.is(blind.code, 1)
  t.regex(blind.printed, /--allow-fs-read and --allow-fs-write for the directory/)
  t.notRegex(blind.printed, /mkdir|chmod/)
  const paths = join(root, '*')
  const allowed = ['--allow-child-process', read(paths), `--allow-fs-write=${paths}`]
  const { printed } = await rootlock(t, [...ENOUGH, ...allowed], 'doctor', root)
  t.regex(printed, /This directory can be locked\./)
})
