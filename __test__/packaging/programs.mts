// Programs of users. Each prints `locked`, or fails.

const body = `
  const root = mkdtempSync(join(tmpdir(), 'rootlock-user-'))
  const unlock = await tryLock(root)
  try {
    await tryLock(root, { wait: false })
    throw new Error('given to two')
  } catch (error) {
    if (!(error instanceof LockError) || error.code !== 'ERR_LOCK_UNSUCCESSFUL') throw error
  }
  await unlock()
  const token = await withLock(root, (signal) => !signal.aborted)
  if (token !== true) throw new Error('lost')
  rmSync(root, { recursive: true })
  console.log('locked')
`

export const esm = `
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { LockError, tryLock, withLock } from 'rootlock'

${body}`

export const commonjs = `
const { mkdtempSync, rmSync } = require('node:fs')
const { tmpdir } = require('node:os')
const { join } = require('node:path')
const { LockError, tryLock, withLock } = require('rootlock')

async function main() {${body}}
main()
`

/** Opens a server that is not there, and prints the codes of the error. */
export const server = `
import { openRoot } from 'rootlock'

const error = await openRoot('postgres://app@127.0.0.1:1/app').then(String, (error) => error)
if (error.name !== 'LockError') throw error
console.log(error.code, error.cause.code)
`

/** The same, with wrong types where marked. */
export const typed = `
import { LockError, openRoot, tryLock, type Holder, type UnlockFunc } from 'rootlock'
import { checkSync, lock, type LockedError } from 'rootlock/proper-lockfile'

export async function main(): Promise<void> {
  const root = await openRoot(process.cwd())
  const unlock: UnlockFunc = await tryLock(root, { signal: AbortSignal.timeout(5_000) })
  const token: number = unlock.token
  // @ts-expect-error heartbeatMs is a number
  tryLock(root, { heartbeatMs: '1' }).catch(() => {})
  try {
    await tryLock(root, { wait: false })
  } catch (error) {
    const holder: Holder | undefined = error instanceof LockError ? error.holder : undefined
    if (holder?.token !== token) throw error
  }
  await unlock()
  await root.close()
  const options = { lockfilePath: 'typed.lock', retries: { retries: 1, maxTimeout: 1 } }
  const release: () => Promise<void> = await lock('.', options)
  // @ts-expect-error stale is a number
  const isLocked: boolean = checkSync('.', { lockfilePath: 'typed.lock', stale: '10000' })
  await lock('.', options).catch(({ code, holder }: LockedError) => {
    if (code !== 'ELOCKED' || holder?.pid !== process.pid || !isLocked) throw new Error(code)
  })
  await release()
  console.log('locked')
}
main()
`
