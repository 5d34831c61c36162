// `npm run check -- NAME [arguments]`: checks for which `npm test` has no time, no room or no machine.

import { spawnSync } from 'node:child_process'

/** Command lines, run one after the other; the last one gets the arguments. */
type Check = readonly (readonly string[])[]

const { execPath: node, env } = process
const npm = env['npm_execpath'] ? [node, env['npm_execpath']] : ['npm']
const script = (name: string, ...args: string[]): Check => [
  [node, `.build/scripts/${name}.mjs`, ...args]
]
const words = (line: string) => line.split(' ')
const packaging = (name: string): Check => [
  [...npm, '--prefix', '__test__/packaging', 'ci', '--ignore-scripts', '--no-audit', '--no-fund'],
  [node, '__test__/packaging/node_modules/bun/install.js'],
  [node, '--test', '--test-timeout=600000', `.build/__test__/packaging/${name}.mjs`]
]

const CHECKS: Record<string, { about: string; run: Check }> = {
  torture: {
    about: 'real processes, frozen, killed and disturbed, and what each of them saw',
    run: [[node, '.build/__test__/torture/main.mjs']]
  },
  faults: { about: 'whatever system call fails, one after the other', run: script('faults') },
  leaks: { about: 'threads, descriptors and memory over hours', run: script('leaks') },
  workers: { about: 'workers terminated at any moment, on every Node', run: script('workers') },
  sanitizers: { about: "Rust's tests under its sanitizers", run: script('sanitizers') },
  interleavings: {
    about: 'thousands of orders of threads, by shuttle',
    run: [
      words(
        "cargo --config build.rustflags=['--cfg=shuttle'] test -p rootlock --lib --target-dir target/shuttle interleavings --"
      )
    ]
  },
  fuzz: {
    about: "the ledger's bytes; needs cargo-fuzz",
    run: [
      words(
        'cargo +nightly fuzz run --fuzz-dir crates/rootlock-protocol/fuzz ledger -- -dict=crates/rootlock-protocol/fuzz/ledger.dict -max_len=1200 -max_total_time=60'
      )
    ]
  },
  coverage: { about: 'lines that no test runs', run: script('coverage') },
  filesystems: { about: 'file systems that are mounted for it', run: script('filesystems') },
  vm: { about: 'NFS, SMB and a suspended machine, in virtual ones', run: script('vm/run') },
  runtimes: {
    about: 'the contract on every Node, on Bun, Deno and Electron',
    run: script('runtimes')
  },
  windows: { about: 'the suite under Wine', run: script('windows') },
  darwin: { about: 'a build for macOS', run: script('darwin') },
  arm64: { about: 'the suite on an emulated processor', run: script('emulated', 'arm64') },
  armv7: { about: 'the contract on an emulated processor', run: script('emulated', 'armv7') },
  'arm64-musl': { about: 'both of them', run: script('emulated', 'arm64-musl') },
  ppc64: { about: 'the same, on another one', run: script('emulated', 'ppc64') },
  riscv64: { about: 'and another', run: script('emulated', 'riscv64') },
  s390x: {
    about: 'and one whose numbers begin with the high byte',
    run: script('emulated', 's390x')
  },
  musl: { about: 'the contract on a musl Node', run: script('musl') },
  install: { about: 'every package manager installs the package', run: packaging('install') },
  peers: {
    about: 'programs from npm that lock by proper-lockfile, with rootlock in its place',
    run: packaging('peers')
  },
  'test-runners': {
    about: 'jest and vitest, with fake timers and modules that are loaded anew',
    run: packaging('test-runners')
  },
  pm2: { about: 'apps that pm2 reloads, stops and kills', run: packaging('pm2') },
  electron: {
    about: 'a real Electron, though an old one; needs pip, a C compiler, Xvfb and its libraries',
    run: packaging('electron')
  },
  bundlers: { about: 'every bundler bundles it', run: packaging('bundlers') },
  workflows: {
    about: "CI's own files; needs Go and shellcheck",
    run: [
      ['go', 'run', 'github.com/rhysd/actionlint/cmd/actionlint@v1.7.12'],
      ['shellcheck', '.ci/run', '.ci/build', '.ci/alpine', '.ci/freebsd']
    ]
  },
  reference: {
    about: "the API's reference as web pages, in docs/reference",
    run: [
      [...npm, '--prefix', 'docs/reference', 'ci', '--no-audit', '--no-fund'],
      [...npm, '--prefix', 'docs/reference', 'run', 'build']
    ]
  }
}

const [name = '', ...args] = process.argv.slice(2)
const check = CHECKS[name]
if (check === undefined) {
  console.error('usage: npm run check -- NAME [arguments]')
  for (const [each, { about }] of Object.entries(CHECKS)) {
    console.error(`  ${each.padEnd(14)}${about}`)
  }
  process.exit(2)
}
for (const [index, [command, ...own]] of check.run.entries()) {
  const last = index === check.run.length - 1
  const { status, signal, error } = spawnSync(command!, last ? [...own, ...args] : own, {
    stdio: 'inherit'
  })
  if (error !== undefined) console.error(`${name}: ${error.message}`)
  if (status !== 0) {
    process.exitCode = status ?? 1
    if (signal !== null) console.error(`${name}: ended by ${signal}`)
    break
  }
}
