import { readdirSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'

import test from 'ava'

import { linux, needing } from '../helpers/needing.mjs'
import { undefinedSymbols } from '../../scripts/symbols.mjs'

const require = createRequire(import.meta.url)
const home = dirname(require.resolve('rootlock/package.json'))
const { symbols } = require('node-api-headers') as {
  symbols: Record<string, Record<'js_native_api_symbols' | 'node_api_symbols', string[]>>
}

/** Libraries that every host of the package has. */
const KNOWN = 'v8'

const functions = (version: string) => Object.values(symbols[version]!).flat()
const known = new Set(functions(KNOWN))
const later = Object.keys(symbols)
  .flatMap(functions)
  .filter((name) => !known.has(name))

/** The prefixes of the host's own names, mangled ones included: libuv's, V8's, Node's. */
const INNER = /^(uv_|napi_|node_|_ZNK?(2v8|4node))/

const libraries = readdirSync(home).filter((name) => /^rootlock\..*\.node$/.test(name))

for (const library of libraries) {
  const file = readFileSync(join(home, library))

  // Functions are looked up by name when the library is loaded, so the names are in it.
  test(`${library} uses no function added after Node-API version 8`, (t) => {
    t.true(later.length > 0)
    t.true(file.includes('napi_create_function'))
    t.deepEqual(
      later.filter((name) => file.includes(`${name}\0`)),
      []
    )
  })

  if (!/linux-(x64|arm64)/.test(library)) continue
  test(`${library} links to nothing internal to its host`, (t) => {
    const wanted = undefinedSymbols(file)
    t.true(wanted.length > 0)
    t.deepEqual(
      wanted.filter((symbol) => INNER.test(symbol)),
      []
    )
  })
}

needing(test, linux)('the symbols of a library are found', (t) => {
  t.true(undefinedSymbols(readFileSync(process.execPath)).includes('dlopen'))
})
