// node copy-binding.mjs <folder>: puts the native binding of this platform beside a bundle.

import { copyFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { basename, join } from 'node:path'

const [folder = '.'] = process.argv.slice(2)
// Resolved as rootlock itself does, whatever the package manager's layout.
const { resolve } = createRequire(import.meta.resolve('rootlock'))
const { optionalDependencies } = createRequire(import.meta.url)('rootlock/package.json')

let copied = 0
for (const name of Object.keys(optionalDependencies)) {
  try {
    const file = resolve(name)
    copyFileSync(file, join(folder, basename(file)))
    copied += 1
  } catch (error) {
    if (error.code !== 'MODULE_NOT_FOUND') throw error
  }
}
if (copied === 0) throw new Error('no native binding of rootlock is installed')
