import { readFile } from 'node:fs/promises'
import { join, posix } from 'node:path'

import test from 'ava'

import { needing, notWine, onPath } from '../helpers/needing.mjs'
import { checkout, listed, manifest } from '../../scripts/pack.mjs'

needing(
  test,
  notWine,
  process.platform !== 'win32' && onPath('npm')
)('the package holds the face, its declarations and two papers, and no more', async (t) => {
  const files = await listed(checkout)
  const declared = files.filter((file) => /\.d\.m?ts$/.test(file))
  const commands = Object.values((manifest(checkout)['bin'] ?? {}) as Record<string, string>)
  t.deepEqual(
    files.filter((file) => !declared.includes(file)).toSorted(),
    ['LICENSE', 'README.md', 'index.js', 'index.mjs', 'index.bundler.mjs', ...commands].toSorted()
  )
  t.deepEqual(declared.toSorted(), await reachable(['index.d.mts', 'index.d.ts']))
})

/** The declarations that a type checker reaches from these. */
async function reachable(from: string[]): Promise<string[]> {
  const found = new Set(from)
  for (const file of found) {
    const text = await readFile(join(checkout, file), 'utf8')
    for (const [, name] of text.matchAll(/(?:from|import\()\s*'(\.[^']*)'/g)) {
      found.add(posix.join(posix.dirname(file), `${name!.replace(/\.js$/, '')}.d.ts`))
    }
  }
  return [...found].toSorted()
}
