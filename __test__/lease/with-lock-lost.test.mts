import { readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'

import test from 'ava'
import { withLock, type LockError } from 'rootlock'

import { inTime } from '../helpers/eventually.mjs'
import { needing, notWine } from '../helpers/needing.mjs'
import { temporaryRoot } from '../helpers/temporary-root.mjs'

const BEAT = { heartbeatMs: 50, staleMs: 30_000 }

/** Wine keeps the name of a removed file while it is open. */
const removing = needing(test, notWine)

/** Resolves when the signal aborts. */
const aborted = (signal: AbortSignal) =>
  inTime('the signal aborts', new Promise((resolve) => signal.addEventListener('abort', resolve)))

removing('withLock rejects with the loss when the lock is lost while fn runs', async (t) => {
  const root = await temporaryRoot(t)
  let seen: unknown
  const work = withLock(
    root,
    async (signal) => {
      await rm(join(root, '.lock'))
      await aborted(signal)
      seen = signal.reason
      return 'worked on'
    },
    BEAT
  )
  const error = await t.throwsAsync<LockError>(work, {
    code: 'ERR_LOCK_LOST'
  })
  t.is(error.reason, 'hijacked')
  t.is(error, seen as LockError)
  t.deepEqual((await readdir(root)).toSorted(), ['.lock.guard'])
})

removing(
  "withLock rejects with the loss when fn fails because of it; fn's error is its cause",
  async (t) => {
    const root = await temporaryRoot(t)
    const mine = new Error('could not go on')
    const work = withLock(
      root,
      async (signal) => {
        await rm(join(root, '.lock'))
        await aborted(signal)
        throw mine
      },
      BEAT
    )
    const error = await t.throwsAsync<LockError>(work, {
      code: 'ERR_LOCK_LOST'
    })
    t.is(error.reason, 'hijacked')
    t.is(error.cause, mine)
    const passedOn = withLock(
      root,
      async (signal) => {
        await rm(join(root, '.lock'))
        await aborted(signal)
        signal.throwIfAborted()
      },
      BEAT
    )
    t.false('cause' in (await t.throwsAsync<LockError>(passedOn, { code: 'ERR_LOCK_LOST' })))
  }
)
