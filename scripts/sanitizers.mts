// `npm run check -- sanitizers [thread|address|miri…]`: the crates' tests under ThreadSanitizer and
// AddressSanitizer (with LeakSanitizer), the standard library built the same way, and its pure
// modules under Miri. Needs the nightly toolchain with the components rust-src and miri.

import { spawnSync } from 'node:child_process'

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
    args: ['miri', 'test', '-p', 'rootlock', '--lib'],
    tests: ['watch::', 'ledger::', 'options::'],
    env: { MIRIFLAGS: '-Zmiri-disable-isolation' },
    component: 'miri'
  }
}

function sanitizer(name: string): Run {
  return {
    args: ['test', '-Zbuild-std', '--target', TARGET, '-p', 'rootlock', '--tests'],
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
let failed = 0
const names = wanted.length > 0 ? wanted : Object.keys(RUNS)
for (const name of names) {
  const run = RUNS[name]
  if (!run) throw new RangeError(`expected ${Object.keys(RUNS).join(', ')}, got ${name}`)
  const { args, tests = [], env, component } = run
  // Reports a missing toolchain itself.
  spawnSync('rustup', ['component', 'add', component, '--toolchain', 'nightly'], {
    stdio: 'inherit'
  })
  const [command, ...rest] = args
  const { status } = spawnSync(
    'cargo',
    ['+nightly', command!, ...rest, '--locked', '--target-dir', `target/${name}`, '--', ...tests],
    { stdio: 'inherit', env: { ...process.env, ...env } }
  )
  console.log(`${name}: ${status === 0 ? 'ok' : 'failed'}`)
  if (status !== 0) failed += 1
}
console.log(`${names.length - failed} passed, ${failed} failed`)
process.exitCode = failed > 0 ? 1 : 0
