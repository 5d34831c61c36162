// `npm test` after the build: cargo's tests, then AVA's; the last line counts them together.

import { AVA, cargo, report, run, tap } from './tests.mjs'

report([
  ['cargo', await run('cargo', ['test', '--workspace', '--locked', '--no-fail-fast'], cargo)],
  ['AVA', await run(process.execPath, [AVA, '--tap', ...process.argv.slice(2)], tap)]
])
