/** `node importer.js <module>`: how long its import takes, and which native binaries it maps. */
import { readFileSync } from 'node:fs'

export interface Imported {
  ms: number
  binaries: string[]
}

const start = performance.now()
await import(process.argv[2] as string)
const ms = performance.now() - start

const mapped = readFileSync('/proc/self/maps', 'utf8').matchAll(/\s(\/\S.*\.node)$/gm)
const binaries = [...new Set(Array.from(mapped, (match) => match[1] as string))]
console.log(JSON.stringify({ ms, binaries } satisfies Imported))
