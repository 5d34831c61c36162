import { chmod, readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'

import test, { type ExecutionContext } from 'ava'

import { child } from '../helpers/child.mjs'
import { eventually } from '../helpers/eventually.mjs'
import { QUICK } from '../helpers/locks.mjs'
import { linux, needing, superuser } from '../helpers/needing.mjs'
import { temporaryRoot } from '../helpers/temporary-root.mjs'

const NOBODY = 65_534

/** A lock with a frozen holder that anybody may wait for, but only its owner may replace. */
async function freezeInStickyDirectory(t: ExecutionContext): Promise<string> {
  const root = await temporaryRoot(t)
  await chmod(root, 0o1777)
  const holder = child(t, 'holder', { root, options: QUICK })
  await holder.says('held')
  for (const name of ['.lock', '.lock.guard']) await chmod(join(root, name), 0o666)
  await holder.freeze(root)
  return root
}

const onSystem = needing(test, linux, superuser)

onSystem(
  'a takeover that the system refuses does not end the wait, and is logged once',
  async (t) => {
    const root = await freezeInStickyDirectory(t)
    const waiter = child(t, 'holder', { root, uid: NOBODY, options: QUICK })
    const log = await waiter.says('log')
    t.is(log.level, 'warn')
    t.is(log.message, 'could not take over a stale lock')
    t.is(log.details.path, join(root, '.lock'))
    t.truthy(log.details.reason)
    const { mtimeMs, ino } = await stat(join(root, '.lock'))
    await eventually('it is tried many times', () => Date.now() - mtimeMs > 4 * QUICK.staleMs)
    t.false(waiter.hasSaid('log'))
    t.false(waiter.hasSaid('held'))
    t.false(waiter.hasSaid('failed'))
    t.is((await stat(join(root, '.lock'))).ino, ino)
    t.deepEqual((await readdir(root)).toSorted(), ['.lock', '.lock.guard'], 'nothing is left over')
  }
)

onSystem('a wait that ends after a refused takeover says so, and where to look', async (t) => {
  const root = await freezeInStickyDirectory(t)
  const waiter = child(t, 'holder', { root, uid: NOBODY, options: QUICK })
  await waiter.says('log')
  waiter.tell('abort')
  const error = await waiter.says('failed')
  t.is(error.code, 'ERR_LOCK_UNSUCCESSFUL')
  t.regex(error.message, /^store is locked by pid \d+ /)
  t.regex(error.message, /stale/)
  t.regex(error.message, /EPERM: operation not permitted/)
  t.true(error.message.includes(join(root, '.lock')), error.message)
  t.is(error.cause.name, 'AbortError')
})
