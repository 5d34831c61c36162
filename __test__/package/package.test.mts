import { readFile } from 'node:fs/promises'
import { join } from 'node:path'

import test from 'ava'

import { needing, notWine, onPath } from '../helpers/needing.mjs'
import { checkout, listed, manifest } from '../../scripts/pack.mjs'

needing(
  test,
  notWine,
  process.platform !== 'win32' && onPath('npm')
)('the package holds the face, its declarations and two papers, and no more', async (t) => {
  const commands = Object.values((manifest(checkout)['bin'] ?? {}) as Record<string, string>)
  const face = ['index.js', 'index.mjs', 'index.bundler.mjs', 'index.d.ts', 'index.d.mts']
  t.deepEqual(
    (await listed(checkout)).toSorted(),
    ['LICENSE', 'README.md', ...face, ...commands].toSorted()
  )
})

test('the declarations need no other file', async (t) => {
  const text = await readFile(join(checkout, 'index.d.ts'), 'utf8')
  t.regex(text, /declare function tryLock\(/)
  t.notRegex(text, /^(import|export \*|\/\/\/)|import\(/m)
})
