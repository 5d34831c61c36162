import { execFile } from 'node:child_process'
import { copyFileSync, statSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

import type { Measure } from '../measure.js'
import { newRoot } from '../scratch.js'
import { median } from '../statistics.js'
import type { Imported } from '../importer.js'

const run = promisify(execFile)
const importer = fileURLToPath(new URL('../importer.js', import.meta.url))
const processes = { quick: 5, full: 15 }

/** Size in MiB without symbols, as published; with them if this machine has no `strip`. */
async function strippedSize(binary: string): Promise<number> {
  const copy = path.join(newRoot(), path.basename(binary))
  copyFileSync(binary, copy)
  await run('strip', [copy]).catch(() => {})
  return statSync(copy).size / 2 ** 20
}

export const importing: Measure = {
  name: 'import',
  title: 'Import',
  how: '`await import(…)` as the first thing a fresh process does, the median of 15 processes a round; the `.node` files that are then mapped, stripped.',
  metrics: [
    { key: 'ms', title: 'import', unit: 'ms', better: 'less' },
    { key: 'mib', title: '.node', unit: 'MiB', better: 'less' }
  ],
  bars: [
    { metric: 'ms', is: '≤', value: 1, of: 'fs-ext' },
    { metric: 'mib', is: '≤', value: 1 }
  ],
  rounds: 3,
  quickRounds: 1,
  excuse: (adapter) => (adapter.module ? undefined : 'not a module'),
  async run(adapter, { quick }) {
    const times: number[] = []
    let binaries: string[] = []
    for (let i = 0; i < processes[quick ? 'quick' : 'full']; i++) {
      const { stdout } = await run(process.execPath, [importer, adapter.module as string])
      const imported = JSON.parse(stdout) as Imported
      times.push(imported.ms)
      binaries = imported.binaries
    }
    const sizes = await Promise.all(binaries.map(strippedSize))
    return { ms: median(times), mib: sizes.reduce((a, b) => a + b, 0) }
  }
}
