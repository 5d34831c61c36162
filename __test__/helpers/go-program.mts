import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'

import test from 'ava'

import { tool } from './needing.mjs'

const home = dirname(createRequire(import.meta.url).resolve('rootlock/package.json'))

/**
 * Builds a Go program of `__test__/fixtures`, which is removed after the last test. Synchronous,
 * because missing tools decide how tests are declared.
 */
export function goProgram(name: string): { path: string; missing: string | false } {
  const source = join(home, '__test__/fixtures', name)
  // Distributions have versions that are too old: a reason to skip, not something to install.
  if (tool('go', 'version')) return { path: '', missing: 'Go' }
  const folder = mkdtempSync(join(tmpdir(), 'rootlock-go-'))
  test.after.always(() => rmSync(folder, { recursive: true, force: true }))
  const path = join(folder, name)
  const go = (...args: string[]) => spawnSync('go', args, { cwd: source, encoding: 'utf8' })
  if (go('list', '-deps', '.').status !== 0) return { path, missing: 'the modules of a Go program' }
  const { status, stderr } = go('build', '-o', path, '.')
  if (status !== 0) throw new Error(`go build: ${stderr}`)
  return { path, missing: false }
}
