import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import path from 'node:path'

/** All peers are CommonJS. */
export const require = createRequire(import.meta.url)

/** The version that is installed, not the one that package.json asks for. */
export function installedVersion(name: string): string {
  for (const folder of require.resolve.paths(name) ?? []) {
    try {
      const text = readFileSync(path.join(folder, name, 'package.json'), 'utf8')
      return (JSON.parse(text) as { version: string }).version
    } catch {
      // Not in this folder: the next one.
    }
  }
  throw new Error(`${name} is not installed`)
}
