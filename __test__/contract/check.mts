// Declares and checks claims in any runtime, and prints the results as TAP.

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { openRoot, type LockError, type Root } from 'rootlock'

import { inTime } from '../helpers/eventually.mjs'

/** What is cleaned up after a claim, the last first. */
export type Later = (undo: () => unknown) => void

/** What a claim has of its own. */
export interface Stage {
  /** What to lock: a directory, or a root on a server. */
  root: string | Root
  /** The same, for another process or thread, which opens it by `open`. */
  place: string
  /** A directory; the one that is locked, if one is. */
  directory: string
  later: Later
}

interface Claim {
  title: string
  run: (stage: Stage) => Promise<void>
}

/** The server to check the claims on, by a URL with ROOT in a root's place, instead of in directories. */
const server = process.env['ROOTLOCK_CONTRACT_SERVER']

/** What a place names. */
export const open = (place: string): Promise<string | Root> =>
  /^(?:postgres|etcd):/.test(place) ? openRoot(place) : Promise.resolve(place)

export type Runtime = 'node' | 'bun' | 'deno'

export const runtime: Runtime = 'Deno' in globalThis ? 'deno' : 'Bun' in globalThis ? 'bun' : 'node'

const claims: Claim[] = []

/** Declares a claim. */
export function claim(title: string, run: Claim['run']): void {
  claims.push({ title, run })
}

/** Declares a claim about files, which a server has none of. */
export function claimOfDirectory(
  title: string,
  run: (root: string, later: Later) => Promise<void>
): void {
  if (server === undefined) claim(title, ({ directory, later }) => run(directory, later))
}

/** Checks all claims, one after the other, and ends the process. */
export async function checkAll(): Promise<never> {
  let failed = 0
  console.log(`TAP version 13\n1..${claims.length}`)
  for (const [index, { title, run }] of claims.entries()) {
    const error = await attempt(index, run)
    if (error) failed += 1
    console.log(`${error ? 'not ok' : 'ok'} ${index + 1} - ${title}`)
    if (error) console.log(String(error.stack).replaceAll(/^/gm, '# '))
  }
  process.exit(failed > 0 ? 1 : 0)
}

async function attempt(index: number, run: Claim['run']): Promise<Error | undefined> {
  const directory = mkdtempSync(join(tmpdir(), 'rootlock-contract-'))
  const undo: (() => Promise<unknown>)[] = [
    async () => rmSync(directory, { recursive: true, force: true, maxRetries: 10 })
  ]
  const later: Later = (more) => undo.unshift(async () => more())
  try {
    const place =
      server === undefined ? directory : server.replace('ROOT', `claim-${process.pid}-${index}`)
    const root = await open(place)
    later(() => typeof root === 'string' || root.close())
    await inTime('the claim ends', run({ root, place, directory, later }))
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
