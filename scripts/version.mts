// Runs within `npm version`: copies the new version from package.json to the other places.

import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

import { npm } from './npm.mjs'
import { checkout, manifest } from './pack.mjs'

const { version } = manifest(checkout)

function replace(file: string, pattern: RegExp, by: string): void {
  const path = join(checkout, file)
  const text = readFileSync(path, 'utf8')
  if (!pattern.test(text)) throw new Error(`${file} has no version in the place where it should be`)
  writeFileSync(path, text.replace(pattern, by))
}

replace('Cargo.toml', /(?<=^\[workspace\.package\]\nversion = ").*(?="$)/m, version)
replace('src/version.ts', /(?<=^export const version = ').*(?='$)/m, version)
replace(join('packages', 'remote', 'package.json'), /(?<=^  "version": ").*(?=",$)/m, version)
execFileSync('cargo', ['update', '--workspace', '--offline'], { cwd: checkout, stdio: 'inherit' })
await npm(['exec', '--', 'napi', 'create-npm-dirs'], checkout)
await npm(['run', 'npm-dirs:remote'], checkout)
execFileSync('git', ['add', 'Cargo.toml', 'Cargo.lock', 'src', 'npm', 'packages'], {
  cwd: checkout
})
