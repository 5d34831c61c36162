// Runs every program in the README and on the pages for users, unchanged, in an empty directory; TypeScript
// is also type-checked. `npx rootlock` is the command of this build. The other pages have commands for
// contributors, which no test runs.

import { spawnSync } from 'node:child_process'
import { chmod, mkdir, rm, writeFile } from 'node:fs/promises'
import { delimiter, join } from 'node:path'
import { fileURLToPath } from 'node:url'

import test, { type ExecutionContext } from 'ava'

import { program } from '../helpers/child.mjs'
import { rootlock } from '../helpers/command.mjs'
import { examples, matches, type Example } from '../helpers/examples.mjs'
import { needing, notEmulated, notWine, unix } from '../helpers/needing.mjs'
import { postgres, Server } from '../helpers/postgres.mjs'
import { temporaryRoot } from '../helpers/temporary-root.mjs'

const repository = fileURLToPath(new URL('../../../', import.meta.url))
const folder = `examples-${process.pid}`
const built = join(repository, '.build', folder)
const printSpans = new URL('../fixtures/print-spans.mjs', import.meta.url).href

const pages = [
  'cache',
  'choosing',
  'command',
  'containers',
  'errors',
  'files',
  'files-in-your-tree',
  'from-redlock',
  'fencing',
  'migrating',
  'nfs',
  'observability',
  'several-machines',
  'single-instance',
  'sync',
  'workers'
].map((page) => `docs/${page}.md`)

const all = examples(repository, ['README.md', ...pages])
const run = all.filter(({ notRun }) => notRun === undefined)

const name = ({ at }: Example) => at.replace(/\W+/g, '-')

/** What node runs; a shell gets the text. */
const fileOf = (example: Example) =>
  join(built, example.language === 'ts' ? `out/.build/${folder}` : '', `${name(example)}.mjs`)

/** The installed type checker is for the system around Wine or the emulator. */
const ownSystem = notWine || notEmulated

const compilerOptions = {
  noUnusedLocals: false,
  declaration: false,
  rootDir: '../..',
  outDir: 'out'
}

test.before('the examples type-check', async (t) => {
  if (ownSystem) return
  await mkdir(built, { recursive: true })
  for (const example of run) {
    if (example.language === 'sh') continue
    const file = `${join(built, name(example))}.${example.language === 'ts' ? 'mts' : 'mjs'}`
    await writeFile(file, example.text)
  }
  const config = {
    extends: '../../__test__/tsconfig.json',
    compilerOptions,
    include: ['*.mts'],
    exclude: ['out']
  }
  await writeFile(join(built, 'tsconfig.json'), JSON.stringify(config))
  const tsc = join(repository, 'node_modules/typescript/bin/tsc')
  const { status, stdout } = spawnSync(process.execPath, [tsc, '--project', built], {
    encoding: 'utf8'
  })
  t.is(status, 0, stdout)
})

/** For the examples that want a server. */
let server: Server | undefined
test.before('a server for them', async () => {
  if (!postgres) server = await Server.start()
})
test.after.always(() => server?.remove())

test.after.always(() => rm(built, { recursive: true, force: true, maxRetries: 3 }))

/** A shell finds the command of this build, with and without npx. */
async function commands(t: ExecutionContext): Promise<string> {
  const path = await temporaryRoot(t)
  const line = rootlock()
    .map((word) => `"${word}"`)
    .join(' ')
  for (const [file, text] of [
    ['rootlock', `#!/bin/sh\nexec ${line} "$@"\n`],
    ['npx', '#!/bin/sh\nexec "$@"\n']
  ] as const) {
    await writeFile(join(path, file), text)
    await chmod(join(path, file), 0o755)
  }
  return path
}

for (const example of run) {
  const shell = example.language === 'sh'
  const stops = example.text.includes('SIGSTOP')
  const onServer = example.text.includes('DATABASE_URL')
  needing(
    test,
    (shell || stops) && unix,
    onServer && postgres,
    ownSystem
  )(`${example.at} runs as it stands`, async (t) => {
    // Outside the repository, which nothing that it starts must take for its own.
    const root = await temporaryRoot(t)
    const [command, args] = shell
      ? ['sh', ['-euc', example.text]]
      : [process.execPath, ['--import', printSpans, fileOf(example)]]
    const path = (await commands(t)) + delimiter + process.env['PATH']
    const database = onServer ? { DATABASE_URL: server!.url() } : {}
    const env = { ...process.env, ...database, PATH: path, HOME: root, USERPROFILE: root }
    const started = program(t, command, args, 'pipe', { cwd: root, env })
    const { code } = await started.ends()
    t.is(code, 0, started.printed)
    if (example.prints === undefined) return
    t.true(matches(started.printed, example.prints), started.printed)
  })
}

test('only these are not run, and the pages say so', (t) => {
  const not = all.flatMap(({ at, notRun }) => (notRun ? [`${at.split(':')[0]}: ${notRun}`] : []))
  t.deepEqual(not, [
    'README.md: asks the registry',
    'docs/containers.md: needs a cluster',
    'docs/nfs.md: needs two machines',
    'docs/several-machines.md: asks the registry',
    'docs/several-machines.md: asks a cluster'
  ])
  t.true(run.length > 15)
  t.true(run.filter(({ prints }) => prints !== undefined).length > 10)
})
