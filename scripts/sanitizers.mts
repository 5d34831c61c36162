// `npm run check -- sanitizers [thread|address|miri…]`: the crates' tests under ThreadSanitizer and
// AddressSanitizer (with LeakSanitizer), the standard library built the same way, and its pure
// modules under Miri. Needs the nightly toolchain with the components rust-src and miri.

import { spawnSync } from 'node:child_process'

import { cargo, CRATES, report, run, type Count } from './tests.mjs'

const TARGET = 'x86_64-unknown-linux-gnu'

interface Run {
  /** Cargo's arguments. */
  args: string[]
  /** Parts of the names of the tests to run, if not all. */
  tests?: string[]
  env: Record<string, string>
  component: string
}

const RUNS: Record<string, Run> = {
  thread: sanitizer('thread'),
  address: sanitizer('address'),
  miri: {
    // Only what touches no file: bytes and times are passed in.
    args: ['miri', 'test', '-p', 'rootlock-protocol', '--lib'],
    tests: ['watch::', 'ledger::', 'promise::', 'terms::'],
    env: { MIRIFLAGS: '-Zmiri-disable-isolation' },
    component: 'miri'
  }
}

function sanitizer(name: string): Run {
  return {
    args: ['test', '-Zbuild-std', '--target', TARGET, ...CRATES, '--tests'],
    env: {
      RUSTFLAGS: `-Zsanitizer=${name}`,
      // Enough crowds for the schedule to vary, and for leaks to show.
      ROOTLOCK_CROWD: '3000',
      ASAN_OPTIONS: 'detect_leaks=1',
      TSAN_OPTIONS: 'halt_on_error=1'
    },
    component: 'rust-src'
  }
}

const wanted = process.argv.slice(2)
const counts: [string, Count][] = []
for (const name of wanted.length > 0 ? wanted : Object.keys(RUNS)) {
  const known = RUNS[name]
  if (!known) throw new RangeError(`expected ${Object.keys(RUNS).join(', ')}, got ${name}`)
  const { args, tests = [], env, component } = known
  // Reports a missing toolchain itself.
  spawnSync('rustup', ['component', 'add', component, '--toolchain', 'nightly'], {
    stdio: 'inherit'
  })
  const how = ['--locked', '--target-dir', `target/${name}`, '--', ...tests]
  const count = await run('cargo', ['+nightly', ...args, ...how], cargo, env)
  // Names that no test has any more would pass for ever.
  if (count.passed === 0) count.failed += 1
  counts.push([name, count])
}
report(counts)
