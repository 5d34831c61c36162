// Declares and checks claims in any runtime, and prints the results as TAP.

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import type { LockError } from 'rootlock'

import { inTime } from '../helpers/eventually.mjs'

/** What is cleaned up after a claim, the last first. */
export type Later = (undo: () => unknown) => void

interface Claim {
  title: string
  run: (root: string, later: Later) => Promise<void>
}

export type Runtime = 'node' | 'bun' | 'deno'

export const runtime: Runtime = 'Deno' in globalThis ? 'deno' : 'Bun' in globalThis ? 'bun' : 'node'

const claims: Claim[] = []

/** Declares a claim; `run` receives a directory of its own. */
export function claim(title: string, run: Claim['run']): void {
  claims.push({ title, run })
}

/** Checks all claims, one after the other, and ends the process. */
export async function checkAll(): Promise<never> {
  let failed = 0
  console.log(`TAP version 13\n1..${claims.length}`)
  for (const [index, { title, run }] of claims.entries()) {
    const error = await attempt(run)
    if (error) failed += 1
    console.log(`${error ? 'not ok' : 'ok'} ${index + 1} - ${title}`)
    if (error) console.log(String(error.stack).replaceAll(/^/gm, '# '))
  }
  process.exit(failed > 0 ? 1 : 0)
}

async function attempt(run: Claim['run']): Promise<Error | undefined> {
  const root = mkdtempSync(join(tmpdir(), 'rootlock-contract-'))
  const undo: (() => Promise<unknown>)[] = [
    async () => rmSync(root, { recursive: true, force: true, maxRetries: 10 })
  ]
  try {
    await inTime(
      'the claim ends',
      run(root, (more) => undo.unshift(async () => more()))
    )
    return undefined
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error))
  } finally {
    for (const step of undo) await inTime('what a claim began ends', step())
  }
}

/** The error that a promise rejects with. */
export async function rejection<E>(promise: Promise<unknown>): Promise<E> {
  let value: unknown
  try {
    value = await promise
  } catch (error) {
    return error as E
  }
  throw new Error(`it should reject, but resolved with ${String(value)}`)
}

/** The error that a call throws. */
export function thrown(call: () => unknown): LockError {
  let value: unknown
  try {
    value = call()
  } catch (error) {
    return error as LockError
  }
  throw new Error(`it should throw, but returned ${String(value)}`)
}
