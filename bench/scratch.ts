import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'

let top: string | undefined
let count = 0

/** A new empty directory to lock; removed when the benchmark ends. */
export function newRoot(): string {
  top ??= mkdtempSync(path.join(tmpdir(), 'rootlock-bench-'))
  const root = path.join(top, String(count++))
  mkdirSync(root)
  return root
}

export function removeScratch(): void {
  if (top) rmSync(top, { recursive: true, force: true, maxRetries: 3 })
  top = undefined
}
