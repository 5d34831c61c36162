// `npm run check -- coverage`: which lines of the crates and the face the tests run: cargo's tests
// and AVA's together, on a build made for it. Needs cargo-llvm-cov, and LLVM's tools in the version
// of the compiler's (`rustup component add llvm-tools`). Processes that are killed do not report,
// so what only they run seems uncovered. Builds anew what it measures: `npm run build` afterwards.

import { execFileSync, spawnSync } from 'node:child_process'
import { rmSync } from 'node:fs'
import { join, resolve } from 'node:path'

import { AVA, CRATES } from './tests.mjs'

const tools = resolve('.build/tools')
const script = resolve('.build/coverage/javascript')
const base = {
  ...process.env,
  CARGO_TARGET_DIR: resolve('target/coverage'),
  PATH: `${join(tools, 'bin')}:${process.env['PATH']}`
}

const run = (command: string, args: string[], env: NodeJS.ProcessEnv) =>
  spawnSync(command, args, { stdio: 'inherit', env }).status === 0

function must(command: string, args: string[], env: NodeJS.ProcessEnv): void {
  if (!run(command, args, env)) throw new Error(`${command} ${args.join(' ')} failed`)
}

if (!run('cargo', ['llvm-cov', '--version'], base)) {
  must('cargo', ['install', '--locked', 'cargo-llvm-cov@0.9.1', '--root', tools], {
    ...process.env
  })
}

/** The environment that instruments every build from here on. */
const shown = execFileSync('cargo', ['llvm-cov', 'show-env'], { env: base, encoding: 'utf8' })
const counting: NodeJS.ProcessEnv = { ...base }
for (const line of shown.split('\n')) {
  const [, key, value] = /^(\w+)=(.*)$/.exec(line) ?? []
  if (key) counting[key] = value!.replace(/^'(.*)'$/, '$1').replace(/^"(.*)"$/, '$1')
}

// napi builds for a named target, which has a folder of its own: so do the others.
const host = /^host: (.*)$/m.exec(execFileSync('rustc', ['-vV'], { encoding: 'utf8' }))![1]!

must('cargo', ['llvm-cov', 'clean', '--workspace'], counting)
rmSync(script, { recursive: true, force: true })
const rust = run(
  'cargo',
  ['test', ...CRATES, '--target', host, '--locked', '--no-fail-fast'],
  counting
)
must('npm', ['run', 'build:debug'], counting)
must('npm', ['run', 'build:test'], counting)
const ava = run(process.execPath, [AVA, ...process.argv.slice(2)], {
  ...counting,
  NODE_V8_COVERAGE: script
})

run(
  'cargo',
  [
    'llvm-cov',
    'report',
    '--target',
    host,
    '--ignore-filename-regex',
    'rootlock-model|/tests/|skewed_clock|sleep.rs|fuzzing.rs'
  ],
  counting
)
run(
  'npx',
  [
    '--yes',
    'c8@12.0.0',
    'report',
    '--temp-directory',
    script,
    '--include',
    'index.js',
    '--include',
    'proper-lockfile.js',
    '--include',
    'src/**'
  ],
  base
)
if (!rust || !ava) console.log('some tests failed: the numbers are those of the others')
process.exitCode = rust && ava ? 0 : 1
