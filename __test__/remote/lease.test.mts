// What a holder's end, freeze, or loss means on a server.

import type { ExecutionContext } from 'ava'
import { inspect, tryLock, tryRLock, type LockError, type UnlockFunc } from 'rootlock'

import { child } from '../helpers/child.mjs'
import { eventually, inTime } from '../helpers/eventually.mjs'
import { mustBlock } from '../helpers/must-block.mjs'
import { freshUrl, opened, servers } from '../helpers/server-root.mjs'

const { onPostgres, onServers } = servers()

/** As the requirement has it. */
const TERMS = { heartbeatMs: 1_000, staleMs: 3_000 }
const QUICK = { heartbeatMs: 200, staleMs: 1_000 }

const holder = (t: ExecutionContext, url: string, more: object = {}) =>
  child(t, 'server-holder', { url, options: TERMS, ...more })

onServers(
  'a frozen holder loses the lock within its terms, and is told when it wakes up',
  async (t, server) => {
    const url = freshUrl(server)
    const root = await opened(t, url)
    const frozen = holder(t, url)
    const { token } = await frozen.says('held')
    const lock = tryLock(root, TERMS)
    await mustBlock(lock)
    await frozen.freeze()
    const begun = performance.now()
    const unlock = await inTime('the lock is granted', lock)
    const took = performance.now() - begun
    // It takes staleMs at most; the rest is for a busy machine.
    t.true(took < 5 * TERMS.staleMs, `${took} ms`)
    t.true(unlock.token > token)
    const woken = Date.now()
    frozen.thaw()
    const lost = (await frozen.says('lost')) as unknown as LockError & { at: number }
    t.is(lost.code, 'ERR_LOCK_LOST')
    t.is(lost.reason, 'hijacked')
    t.log(`free after ${took.toFixed(0)} ms, told ${lost.at - woken} ms after it woke up`)
    t.false(unlock.signal.aborted)
    await unlock()
  }
)

onServers('a killed holder frees the lock at once', async (t, server) => {
  const url = freshUrl(server)
  const root = await opened(t, url)
  const killed = holder(t, url)
  const { token } = await killed.says('held')
  const lock = tryLock(root)
  await mustBlock(lock)
  const begun = performance.now()
  killed.kill()
  const unlock = await inTime('the lock is granted', lock)
  const took = performance.now() - begun
  t.log(`free after ${took.toFixed(1)} ms`)
  // Not by a lease that ran out.
  t.true(took < 20_000, `${took} ms`)
  t.true(unlock.token > token)
  await unlock()
})

onServers(
  'an event loop that is blocked for longer than staleMs keeps the lock',
  async (t, server) => {
    const url = freshUrl(server)
    const root = await opened(t, url)
    const busy = holder(t, url, { options: QUICK })
    await busy.says('held')
    busy.tell('spin', 3 * QUICK.staleMs)
    await busy.says('blocking')
    const lock = tryLock(root)
    const back = busy.says('back')
    t.is(await Promise.race([lock.then(() => 'granted'), back.then(() => 'back')]), 'back')
    t.false((await back).lost)
    busy.tell('unlock')
    await (
      await inTime('the lock is granted', lock)
    )()
  }
)

onServers(
  'a holder whose session is terminated is told, and the next one is granted',
  async (t, server) => {
    const url = freshUrl(server)
    const root = await opened(t, url)
    const unlock = await tryLock(root)
    const { signal } = unlock
    await server.terminateHolders()
    await eventually('it is told', () => signal.aborted)
    const reason = signal.reason as LockError
    t.is(reason.code, 'ERR_LOCK_LOST')
    t.is(reason.reason, 'hijacked')
    t.regex(reason.message, /session at the server has ended/)
    await unlock()
    const next = await inTime('the lock is granted', tryLock(root))
    t.true(next.token > unlock.token)
    await next()
  }
)

for (const how of ['fast', 'immediate'] as const) {
  onPostgres(
    `tokens rise over a restart of the server, and old leases are sat out: ${how}`,
    async (t, server) => {
      const url = freshUrl(server)
      const root = await opened(t, url)
      const unlock = await tryLock(root, TERMS)
      const { signal } = unlock
      await server.restart(how)
      const begun = performance.now()
      await eventually('it is told', () => signal.aborted)
      const next = await inTime('the lock is granted', tryLock(root, TERMS))
      const took = performance.now() - begun
      t.log(`granted ${took.toFixed(0)} ms after the server was back`)
      t.true(next.token > unlock.token)
      // The server may have restarted because of somebody else, and the holder not know yet.
      t.true(took > TERMS.staleMs - TERMS.heartbeatMs, `${took} ms`)
      await unlock()
      await next()
    }
  )
}

onPostgres(
  'after a restart, those who do not wait get the lock when old leases are over',
  async (t, server) => {
    const url = freshUrl(server)
    const root = await opened(t, url)
    // A reader's row says nothing of its release.
    await (
      await tryRLock(root, TERMS)
    )()
    await server.restart()
    const begun = performance.now()
    const warnings: string[] = []
    const logger = { warn: (message: string) => void warnings.push(message), error: t.fail }
    let unlock: UnlockFunc | undefined
    await eventually('one attempt is enough', async () => {
      unlock = await tryLock(root, { ...QUICK, wait: false, logger }).catch(() => undefined)
      return unlock
    })
    const took = performance.now() - begun
    t.true(took > TERMS.staleMs - 1_500, `${took} ms`)
    t.true(took < 5 * TERMS.staleMs, `${took} ms`)
    t.regex(warnings[0]!, /sitting out its lease/)
    await unlock!()
  }
)

onPostgres(
  'a frozen reader is waited for by its own terms, whatever others of its process had',
  async (t, server) => {
    const url = freshUrl(server)
    const root = await opened(t, url)
    const reader = child(t, 'server-holder', {
      url,
      shared: true,
      options: { recover: false },
      next: QUICK
    })
    await reader.says('held')
    reader.tell('join')
    await reader.says('joined')
    reader.tell('unlock')
    await reader.says('unlocked')
    const writer = tryLock(root, TERMS)
    await mustBlock(writer)
    await reader.freeze()
    const unlock = await inTime('the writer is granted', writer)
    t.false(unlock.signal.aborted)
    await unlock()
  }
)

onServers('a lock that was given back is not sat out', async (t, server) => {
  const url = freshUrl(server)
  const root = await opened(t, url)
  const unlock = await tryLock(root)
  await unlock()
  await server.restart()
  const begun = performance.now()
  const next = await inTime('the lock is granted', tryLock(root))
  t.true(performance.now() - begun < 15_000)
  t.true(next.token > unlock.token)
  await next()
})

onServers(
  'a frozen reader does not keep out readers, and a writer only for its terms',
  async (t, server) => {
    const url = freshUrl(server)
    const root = await opened(t, url)
    const frozen = holder(t, url, { shared: true })
    await frozen.says('held')
    await frozen.freeze()
    const reader = await inTime('a reader is granted', tryRLock(root))
    t.is((await inspect(root)).state, 'shared')
    await reader()
    const writer = await inTime('the writer is granted', tryLock(root))
    await writer()
  }
)

onPostgres(
  'a token that somebody has changed by hand beyond what can be counted is refused',
  async (t, server) => {
    const root = await opened(t, freshUrl(server))
    await (
      await tryLock(root)
    )()
    const name = new URL(root.path).searchParams.get('root')
    await server.sql(`UPDATE rootlock.lock SET token = ${2n ** 53n} WHERE root = '${name}'`)
    const error = await t.throwsAsync(tryLock(root), { code: 'ERR_LOCK_UNSUCCESSFUL' })
    t.regex(error.message, /changed rootlock\.lock by hand/)
    await server.sql(`UPDATE rootlock.lock SET token = 1 WHERE root = '${name}'`)
    await (
      await tryLock(root)
    )()
  }
)
