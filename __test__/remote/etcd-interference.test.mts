// What others do to locks on etcd: answers that are late, tokens that end, foreign keys, clusters that are mixed up or set back.

import { cp, rm } from 'node:fs/promises'
import { join } from 'node:path'

import test, { type ExecutionContext } from 'ava'
import { inspect, LockError, openRoot, tryLock, tryRLock } from 'rootlock'

import { child } from '../helpers/child.mjs'
import { base64, etcd, ownCluster } from '../helpers/etcd.mjs'
import { eventually, inTime } from '../helpers/eventually.mjs'
import { mustBlock } from '../helpers/must-block.mjs'
import { needing } from '../helpers/needing.mjs'
import { eventuallyLocked, freshUrl, linked, opened, servers } from '../helpers/server-root.mjs'

const { onEtcd } = servers()

const alone = needing(test.serial, etcd)

const TERMS = { heartbeatMs: 500, staleMs: 3_000 }

async function passes(milliseconds: number): Promise<void> {
  const begun = performance.now()
  await eventually('time passes', () => performance.now() - begun > milliseconds)
}

const code = (error: LockError) => (error.cause as NodeJS.ErrnoException).code

alone('a request that arrives after its lock was released puts nothing back', async (t) => {
  const server = await ownCluster(t, 3)
  const { links, url } = await linked(t, server, server.url())
  const root = await opened(t, url)
  // Its session goes on.
  const terms = { heartbeatMs: 1_000, staleMs: 6_000 }
  const other = await tryLock(root, { ...terms, fileName: 'other' })
  // No answer comes from there in time, but what is sent arrives.
  links[0]!.slow(2_600)
  const unlock = await tryLock(root, { ...terms, fileName: 'job' })
  await unlock()
  const begun = performance.now()
  await eventually('whatever was sent has arrived', async () => {
    const keys = await server.keys()
    t.deepEqual(
      keys.map(({ name }) => name).filter((name) => name.includes('/lock/job/')),
      []
    )
    return performance.now() - begun > 4_000
  })
  links[0]!.slow(0)
  await other()
})

async function withUser(t: ExecutionContext, ...more: string[]) {
  const server = await ownCluster(t, 1, more)
  const users = [
    ['root', 'root'],
    ['app', 'store']
  ] as const
  await server.call('auth/role/add', { name: 'store' })
  const perm = { permType: 2, key: base64('store/'), range_end: base64('store0') }
  await server.call('auth/role/grant', { name: 'store', perm })
  for (const [name, role] of users) {
    await server.call('auth/user/add', { name, password: 'p' })
    await server.call('auth/user/grant', { user: name, role })
  }
  await server.call('auth/enable', {})
  return { server, url: server.url().replace('etcd://', 'etcd://app:p@') }
}

alone('tokens that end cost nobody a lock, however many there are', async (t) => {
  const { server, url } = await withUser(t)
  const root = await opened(t, url)
  const locks = await Promise.all(
    Array.from({ length: 100 }, (_, each) => tryLock(root, { ...TERMS, fileName: `held-${each}` }))
  )
  // A member forgets all tokens when it ends.
  await server.restart('immediate')
  await passes(TERMS.staleMs + TERMS.heartbeatMs)
  t.is(locks.filter(({ signal }) => signal.aborted).length, 0)
  const begun = performance.now()
  await Promise.all(
    Array.from({ length: 100 }, async (_, each) => {
      const unlock = await tryLock(root, { ...TERMS, fileName: `new-${each}` })
      await unlock()
    })
  )
  t.log(`${Math.round(performance.now() - begun)} ms`)
  await Promise.all(locks.map((unlock) => unlock()))
})

alone('what could not be deleted for want of rights is when they are back', async (t) => {
  const { server, url } = await withUser(t)
  const { token } = await server.call<{ token: string }>('auth/authenticate', {
    name: 'root',
    password: 'p'
  })
  const change = (what: 'grant' | 'revoke') =>
    server.call(
      `auth/user/${what}`,
      what === 'grant' ? { user: 'app', role: 'store' } : { name: 'app', role: 'store' },
      token
    )
  const root = await opened(t, url)
  const other = await tryLock(root, { ...TERMS, fileName: 'other' })
  const unlock = await tryLock(root, TERMS)
  await change('revoke')
  await unlock()
  await change('grant')
  const next = child(t, 'server-holder', { url })
  await next.says('held')
  t.false(other.signal.aborted)
  await other()
})

onEtcd('while the cluster is away, one attempt fails, and a wait is told', async (t) => {
  const server = await ownCluster(t)
  const url = server.url()
  const root = await opened(t, url)
  const holder = child(t, 'server-holder', { url, options: TERMS })
  await holder.says('held')
  const first = tryLock(root, TERMS)
  await mustBlock(first)
  await server.stop()
  await t.throwsAsync(inTime('it is refused', tryLock(root, { wait: false })), {
    instanceOf: LockError
  })
  let told = false
  const second = tryLock(root, { ...TERMS, onWait: () => void (told = true) })
  await eventually('it is told', () => told)
  await server.begin()
  holder.kill()
  for (const lock of [first, second]) {
    await (
      await inTime('it is granted', lock)
    )()
  }
})

onEtcd('members of different clusters are refused', async (t, server) => {
  const other = await ownCluster(t)
  const url = server.url().replace('etcd://', `etcd://127.0.0.1:${other.ports[0]},`)
  const error = await t.throwsAsync(openRoot(url), { instanceOf: LockError })
  t.regex(error.message, /members of different clusters/)
})

onEtcd('a foreign key among those of a lock is an error that names it', async (t, server) => {
  const url = freshUrl(server)
  const root = await opened(t, url)
  const prefix = `${new URL(url).pathname.slice(1)}/lock/a/`
  for (const [name, readersToo] of [
    ['', false],
    ['foo', false],
    ['s/zz', false],
    ['x/zz', true],
    ['x/1f-2', true]
  ] as const) {
    const key = base64(prefix + name)
    await server.call('kv/put', { key, value: base64('theirs') })
    for (const wait of [true, false]) {
      const asked = inTime('it fails', tryLock(root, { fileName: 'a', wait }))
      const error = await t.throwsAsync(asked, { instanceOf: LockError }, name)
      t.true(error.message.includes(`"${prefix}${name}"`), error.message)
      t.is(code(error), 'EBADMSG')
    }
    const asked = inTime('it is answered', tryRLock(root, { fileName: 'a' }))
    if (readersToo) await t.throwsAsync(asked, { instanceOf: LockError }, name)
    else await (await asked)()
    await server.call('kv/deleterange', { key })
    await (
      await inTime('it is free', tryLock(root, { fileName: 'a' }))
    )()
  }
  t.deepEqual(
    (await server.keys()).filter(({ name }) => /\/(lock|proof)\//.test(name.slice(-60))),
    []
  )
})

onEtcd('a line that others have made long can be read', async (t, server) => {
  const url = freshUrl(server)
  const root = await opened(t, url)
  const unlock = await tryLock(root, { fileName: 'a' })
  const prefix = `${new URL(url).pathname.slice(1)}/lock/a/`
  for (let each = 0; each < 6; each++) {
    const key = base64(`${prefix}s/zz${each}`)
    await server.call('kv/put', { key, value: base64('v'.repeat(1_000_000)) })
  }
  t.is((await inspect(root, { fileName: 'a' })).holder?.pid, process.pid)
  await unlock()
})

alone('a cluster that was set back under its own id is noticed by whoever knew it', async (t) => {
  const server = await ownCluster(t)
  const member = server.members[0]!
  const root = await opened(t, server.url())
  const terms = { heartbeatMs: 1_000, staleMs: 4_000 }
  const cycle = async () => (await tryLock(root, terms))()
  await cycle()
  await server.stop()
  const saved = join(server.folder, 'saved')
  await cp(member.data, saved, { recursive: true })
  await server.begin()
  for (let each = 0; each < 20; each++) await cycle()
  const unlock = await tryLock(root, terms)
  await server.stop()
  await rm(member.data, { recursive: true })
  await cp(saved, member.data, { recursive: true })
  await server.begin()
  const begun = performance.now()
  await eventually('the holder is told', () => unlock.signal.aborted)
  const next = await inTime('the next one has the lock', tryLock(root, terms))
  t.true(performance.now() - begun > terms.staleMs - 1_500)
  t.true(next.token > unlock.token)
  await next()
})

onEtcd(
  'a long way costs nobody a lock, and neither does a connection that has died',
  async (t, server) => {
    const { links, url } = await linked(t, server, freshUrl(server))
    const [link] = links
    const root = await opened(t, url)
    const unlock = await tryLock(root, TERMS)
    // More than a quarter of a heartbeat, there and back.
    link!.slow(100)
    await passes(TERMS.staleMs)
    t.false(unlock.signal.aborted)
    link!.slow(0)
    link!.strand()
    await passes(TERMS.staleMs)
    t.false(unlock.signal.aborted)
    await unlock()
  }
)

alone('a limit of streams leaves room for beats and releases', async (t) => {
  const server = await ownCluster(t, 1, ['--max-concurrent-streams=20'])
  const root = await opened(t, server.url())
  const locks = await Promise.all(
    Array.from({ length: 60 }, (_, each) => tryLock(root, { ...TERMS, fileName: `held-${each}` }))
  )
  await passes(TERMS.staleMs + TERMS.heartbeatMs)
  t.is(locks.filter(({ signal }) => signal.aborted).length, 0)
  await inTime('all are released', Promise.all(locks.map((unlock) => unlock())))
  const again = await eventuallyLocked(root, { ...TERMS, fileName: 'held-0', wait: false })
  await again()
})
