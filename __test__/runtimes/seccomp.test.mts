// Filters of system calls, as containers and sandboxes have them: an old one answers EPERM to a call that it does not
// know, a newer one ENOSYS.

import { stat } from 'node:fs/promises'
import { join } from 'node:path'

import test from 'ava'
import { tryLock, tryRLock } from 'rootlock'

import { child } from '../helpers/child.mjs'
import { eventually, inTime } from '../helpers/eventually.mjs'
import { hold, QUICK, waiter } from '../helpers/locks.mjs'
import { needing, notEmulated } from '../helpers/needing.mjs'
import { ERRNO, filters, isOneLock, refusing, type Refused } from '../helpers/restricted.mjs'
import { temporaryRoot } from '../helpers/temporary-root.mjs'

const filtered = needing(test, filters, notEmulated)

/** The lock works without any of these. */
const DISPENSABLE: Refused[] = ['openat2', 'statx', 'ofd', 'fstatfs', 'pidfd_open']

for (const [name, errno] of Object.entries(ERRNO)) {
  for (const calls of [...DISPENSABLE.map((call) => [call]), DISPENSABLE]) {
    filtered(`a filter that answers ${name} to ${calls.join(', ')}`, async (t) => {
      const root = await temporaryRoot(t)
      await isOneLock(t, root, () => child(t, 'holder', { root }, refusing(errno, ...calls)))
    })
  }

  filtered(
    `readers share the lock and keep a writer out, behind a filter that answers ${name}`,
    async (t) => {
      const root = await temporaryRoot(t)
      const inside = (input: object = {}) =>
        child(t, 'holder', { root, ...input }, refusing(errno, ...DISPENSABLE))
      const reader = inside({ shared: true })
      await reader.says('held')
      const own = await hold(t, root, { wait: false }, tryRLock)
      const writer = inside()
      await writer.says('waiting')
      await own()
      t.false(writer.hasSaid('held'))
      reader.tell('unlock')
      await writer.says('held')
      await t.throwsAsync(tryRLock(root, { wait: false }), { code: 'ERR_LOCK_UNSUCCESSFUL' })
    }
  )

  filtered(`a wait behind a filter that answers ${name} can be aborted`, async (t) => {
    const root = await temporaryRoot(t)
    const unlock = await hold(t, root)
    const inside = child(t, 'holder', { root }, refusing(errno, ...DISPENSABLE))
    await inside.says('waiting')
    inside.tell('abort')
    t.is((await inside.says('failed')).reason, 'aborted')
    // It has left nothing behind that would be served first.
    const next = waiter(t, root)
    await unlock()
    await inTime('the next one has it', next.lock)
  })

  for (const [whose, frozen, taker] of [
    ['a frozen holder behind a filter', true, false],
    ['a frozen holder, by a process behind a filter', false, true]
  ] as const) {
    filtered(`a takeover from ${whose} that answers ${name}`, async (t) => {
      const root = await temporaryRoot(t)
      const start = (isFiltered: boolean) =>
        child(
          t,
          'holder',
          { root, options: QUICK },
          isFiltered ? refusing(errno, ...DISPENSABLE) : []
        )
      const holder = start(frozen)
      const { token } = await holder.says('held')
      await holder.freeze(root)
      const next = start(taker)
      t.true((await next.says('held')).token > token)
      holder.thaw()
      t.is((await holder.says('lost')).reason, 'hijacked')
    })
  }

  filtered(`without flock there is no lock: the error names ${name} and the call`, async (t) => {
    const root = await temporaryRoot(t)
    const { message, ...error } = await child(t, 'holder', { root }, refusing(errno, 'flock')).says(
      'failed'
    )
    t.is(error.reason, 'system')
    t.regex(message, new RegExp(`^could not lock store: ${name}: .*, flock '`))
    t.like(error.cause, { code: name, syscall: 'flock', errno: -errno })
    await hold(t, root, { wait: false })
  })

  filtered(
    `without a way to set times there is no lease: the error names ${name} and the call`,
    async (t) => {
      const root = await temporaryRoot(t)
      const error = await child(t, 'holder', { root }, refusing(errno, 'utimensat')).says('failed')
      t.like(error.cause, { code: name, syscall: 'utimensat' })
      // What it tried has not become a lock that nobody holds.
      await hold(t, root, { wait: false })
    }
  )
}

filtered('a holder behind a filter beats as any other', async (t) => {
  const root = await temporaryRoot(t)
  const inside = refusing(ERRNO.EPERM, ...DISPENSABLE)
  const holder = child(t, 'holder', { root, options: QUICK }, inside)
  await holder.says('held')
  const beats = new Set<number>()
  await eventually('it beats', async () => {
    beats.add((await stat(join(root, '.lock'))).mtimeMs)
    return beats.size > 4
  })
  await t.throwsAsync(tryLock(root, { wait: false }), { code: 'ERR_LOCK_UNSUCCESSFUL' })
  holder.tell('unlock')
  t.false((await holder.says('unlocked')).lost)
})

filtered(
  'where the access list of the lock file can not be read, a frozen holder keeps it',
  async (t) => {
    const root = await temporaryRoot(t)
    const holder = child(t, 'holder', { root, options: QUICK })
    await holder.says('held')
    await holder.freeze(root)
    const inside = child(t, 'holder', { root, options: QUICK }, refusing(ERRNO.EPERM, 'fgetxattr'))
    const { message, details } = await inside.says('log')
    t.is(message, 'could not take over a stale lock')
    t.regex(details['reason']!, /not permitted/)
    // A new file might not let in everybody whom the old one does.
    t.false(inside.hasSaid('held'))
    holder.thaw()
    holder.tell('unlock')
    t.false((await holder.says('unlocked')).lost)
    await inside.says('held')
  }
)
