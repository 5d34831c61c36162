// `npm run check -- workers`: 1 000 worker threads terminated with locks and waits in flight, on every
// promised Node version. An argument is another number, `--node VERSION` one version.

import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'

import { nodeBinary, VERSIONS } from './node-versions.mjs'

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    node: { type: 'string', multiple: true, default: VERSIONS },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) }
  }
})
const rounds = positionals[0] ?? '1000'
const program = fileURLToPath(new URL('../__test__/fixtures/terminations.mjs', import.meta.url))

let failed = 0
for (const version of values.node) {
  const root = mkdtempSync(join(tmpdir(), 'rootlock-workers-'))
  const begun = performance.now()
  const { status, signal } = spawnSync(nodeBinary(version), [program, root, rounds, values.seed], {
    stdio: 'inherit'
  })
  rmSync(root, { recursive: true, force: true })
  const seconds = Math.round((performance.now() - begun) / 1_000)
  const well = status === 0
  if (!well) failed += 1
  console.log(
    `Node ${version}, seed ${values.seed}: ${well ? 'ok' : `failed, ${signal ?? status}`}, ${seconds} s`
  )
}
console.log(`${values.node.length - failed} passed, ${failed} failed`)
process.exitCode = failed > 0 ? 1 : 0
