// `npm test` after the build: cargo's tests, then AVA's; the last line counts them together.

import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'

interface Count {
  passed: number
  failed: number
  skipped: number
}

/** Runs a command, shows its output, and reads the counts off its lines. */
function run(
  command: string,
  args: string[],
  read: (line: string, count: Count) => void
): Promise<Count> {
  const count: Count = { passed: 0, failed: 0, skipped: 0 }
  const child = spawn(command, args, {
    stdio: ['ignore', 'pipe', 'inherit'],
    // npm is a script that only a shell can start on Windows.
    shell: process.platform === 'win32'
  })
  createInterface({ input: child.stdout }).on('line', (line) => {
    console.log(line)
    read(line, count)
  })
  return new Promise((resolve) => {
    child.on('error', (error) => {
      console.error(`${command}: ${error.message}`)
      count.failed += 1
      resolve(count)
    })
    child.on('close', (code) => {
      // A crash or a failed build is a failure though it counts none; so is a run without a test.
      if (count.failed === 0 && (code !== 0 || count.passed === 0)) count.failed = 1
      resolve(count)
    })
  })
}

const cargo = await run(
  'cargo',
  ['test', '--workspace', '--locked', '--no-fail-fast'],
  (line, count) => {
    const [, passed, failed, ignored] =
      /^test result: .* (\d+) passed; (\d+) failed; (\d+) ignored/.exec(line) ?? []
    count.passed += Number(passed ?? 0)
    count.failed += Number(failed ?? 0)
    count.skipped += Number(ignored ?? 0)
  }
)

const ava = await run(
  process.execPath,
  ['node_modules/ava/entrypoints/cli.mjs', '--tap', ...process.argv.slice(2)],
  (line, count) => {
    const [, not, directive] = /^(not )?ok \d+ - [^#]*(# SKIP|# TODO)?/i.exec(line) ?? []
    if (!line.startsWith('ok ') && !line.startsWith('not ok ')) return
    if (directive) count.skipped += 1
    else if (not) count.failed += 1
    else count.passed += 1
  }
)

const total = (key: keyof Count) => cargo[key] + ava[key]
const skipped = total('skipped') > 0 ? `, ${total('skipped')} skipped` : ''
console.log(`${total('passed')} passed, ${total('failed')} failed${skipped}`)
process.exitCode = total('failed') > 0 ? 1 : 0
