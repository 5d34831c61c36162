// Runs test programs, shows their output, and counts.

import { spawn } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { createInterface } from 'node:readline'

export interface Count {
  passed: number
  failed: number
  skipped: number
}

const TESTS = '.build/__test__'

/** The crates whose tests are run wherever the lock is: all but the border, which has none, and the model. */
export const CRATES = ['rootlock', 'rootlock-protocol', 'rootlock-remote', 'rootlock-sys'].flatMap(
  (name) => ['-p', name]
)

type Read = (line: string, count: Count) => void

/** Runs a command, shows its output, and reads the counts from it. */
export function run(
  command: string,
  args: string[],
  read: Read,
  env: NodeJS.ProcessEnv = {}
): Promise<Count> {
  const count: Count = { passed: 0, failed: 0, skipped: 0 }
  const child = spawn(command, args, {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, ...env },
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
      // A crash or a failed build is a failure even if it counts none; so is a run without a test.
      // All tests of one file may be skipped; all tests of all files may not (`report`).
      if (count.failed === 0 && (code !== 0 || count.passed + count.skipped === 0)) {
        count.failed = 1
      }
      resolve(count)
    })
  })
}

/** Reads cargo's tests. */
export function cargo(line: string, count: Count): void {
  const [, passed, failed, ignored, filtered] =
    /^test result: .* (\d+) passed; (\d+) failed; (\d+) ignored; \d+ measured; (\d+) filtered/.exec(
      line
    ) ?? []
  count.passed += Number(passed ?? 0)
  count.failed += Number(failed ?? 0)
  count.skipped += Number(ignored ?? 0) + Number(filtered ?? 0)
}

/** Reads TAP. */
export function tap(line: string, count: Count): void {
  const [, not, directive] = /^(not )?ok \d+ - [^#]*(# SKIP|# TODO)?/i.exec(line) ?? []
  if (!line.startsWith('ok ') && !line.startsWith('not ok ')) return
  if (directive) count.skipped += 1
  else if (not) count.failed += 1
  else count.passed += 1
}

export const AVA = 'node_modules/ava/entrypoints/cli.mjs'

/** What every runtime can run. */
export const CONTRACT = `${TESTS}/contract/main.mjs`

/** AVA's test files, or those of these names. */
export function testFiles(named: string[]): string[] {
  if (named.length > 0) return named
  const all = readdirSync(TESTS, { recursive: true, encoding: 'utf8' })
  return all.filter((name) => name.endsWith('.test.mjs'))
}

/** Node's arguments for one of them alone; one that the system kills takes no other with it. */
export function fileAlone(file: string): string[] {
  return [AVA, '--tap', `${TESTS}/${file}`]
}

/** Prints the result of each part, and of all together on the last line. */
export function report(counts: [part: string, count: Count][]): void {
  const total: Count = { passed: 0, failed: 0, skipped: 0 }
  for (const [part, count] of counts) {
    if (counts.length > 1) console.log(`${part}: ${words(count)}`)
    for (const key of ['passed', 'failed', 'skipped'] as const) total[key] += count[key]
  }
  console.log(words(total))
  process.exitCode = total.failed > 0 || total.passed === 0 ? 1 : 0
}

function words({ passed, failed, skipped }: Count): string {
  return `${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`
}
