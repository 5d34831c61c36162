// What is particular to etcd: members that fail, restores, users, certificates, and keys that others delete.

import { copyFile } from 'node:fs/promises'
import { join } from 'node:path'

import test from 'ava'
import { inspect, LockError, openRoot, tryLock, tryLockSync, tryRLock, type Root } from 'rootlock'

import { certificates, openssl } from '../helpers/certificates.mjs'
import { child, program } from '../helpers/child.mjs'
import { run } from '../helpers/command.mjs'
import { base64, Cluster, etcd, ownCluster } from '../helpers/etcd.mjs'
import { eventually, inTime } from '../helpers/eventually.mjs'
import { mustBlock } from '../helpers/must-block.mjs'
import { needing } from '../helpers/needing.mjs'
import { eventuallyLocked, freshUrl, opened, servers } from '../helpers/server-root.mjs'
import { freePort } from '../helpers/test-server.mjs'

const { onEtcd } = servers()

/** Longer than an election. */
const TERMS = { heartbeatMs: 1_000, staleMs: 6_000 }

/** The line for a root's locks. */
async function lineOf(server: Cluster, url: string) {
  const prefix = `${new URL(url).pathname.slice(1)}/lock/`
  const keys = (await server.keys()).filter(({ name }) => name.startsWith(prefix))
  return keys.toSorted((a, b) => +a.create_revision - +b.create_revision)
}

onEtcd('a process that ends by itself gives back what it holds', async (t, server) => {
  const url = freshUrl(server)
  const script = `import { openRoot, tryLock } from 'rootlock'
    await tryLock(await openRoot(${JSON.stringify(url)}))
    process.stdout.write('held')`
  const holder = program(t, process.execPath, ['--input-type=module', '--eval', script])
  t.is((await holder.ends()).code, 0, holder.printed)
  t.is(holder.printed, 'held')
  t.deepEqual(await lineOf(server, url), [])
})

onEtcd('a holder whose key somebody deletes is told, and so is a waiter', async (t, server) => {
  const url = freshUrl(server)
  const root = await opened(t, url)
  const unlock = await tryLock(root)
  const waiter = child(t, 'server-holder', { url })
  await waiter.says('waiting')
  const [held, waits] = await lineOf(server, url)
  await server.call('kv/deleterange', { key: waits!.key })
  await eventually('it is at the end of the line again', async () => {
    const line = await lineOf(server, url)
    return line.length === 2 && line.every(({ name }) => name !== waits!.name)
  })
  await server.call('kv/deleterange', { key: held!.key })
  await eventually('it is told', () => unlock.signal.aborted)
  t.is((unlock.signal.reason as LockError).reason, 'hijacked')
  t.true((await waiter.says('held')).token > unlock.token)
  await unlock()
})

onEtcd(
  'a lock and a wait outlive a restart after a compaction, and are watched',
  async (t, server) => {
    const url = freshUrl(server)
    const root = await opened(t, url)
    const unlock = await tryLock(root)
    const waiter = child(t, 'server-holder', { url })
    await waiter.says('waiting')
    const key = base64('compacted')
    for (let each = 0; each < 20; each++) await server.call('kv/put', { key, value: key })
    const { header } = await server.call<{ header: { revision: string } }>('kv/range', { key })
    await server.call('kv/compaction', { revision: header.revision, physical: true })
    await server.restart()
    const [held] = await lineOf(server, url)
    t.false(unlock.signal.aborted)
    t.false(waiter.hasSaid('held'))
    await server.call('kv/deleterange', { key: held!.key })
    await eventually('it is told', () => unlock.signal.aborted)
    t.is((unlock.signal.reason as LockError).reason, 'hijacked')
    t.true((await waiter.says('held')).token > unlock.token)
    await unlock()
  }
)

onEtcd(
  'places that are lost while calls that block let others behind leave nobody waiting',
  async (t, server) => {
    const url = freshUrl(server)
    const root = await opened(t, url)
    const holder = child(t, 'server-holder', { url })
    await holder.says('held')
    // Deletes the keys of those who wait, again and again.
    const prefix = base64(`${new URL(url).pathname.slice(1)}/lock/`)
    const end = base64(`${new URL(url).pathname.slice(1)}/lock0`)
    const script = `const post = async (path, body) =>
      (await fetch('http://127.0.0.1:${server.members[0]!.client}/v3/kv/' + path, { method: 'POST', body: JSON.stringify(body) })).json()
    const range = { key: '${prefix}', range_end: '${end}', sort_target: 'CREATE', sort_order: 'ASCEND' }
    process.stdout.write('deleting')
    for (let ended = false; !ended; process.stdin.once('end', () => (ended = true)).resume()) {
      const { kvs = [] } = await post('range', range)
      for (const { key } of kvs.slice(1)) await post('deleterange', { key })
    }`
    const deleting = program(t, process.execPath, ['--input-type=module', '--eval', script])
    await deleting.prints('deleting')
    const locks = [tryLock(root), tryLock(root), tryLock(root)]
    const until = performance.now() + 4_000
    while (performance.now() < until) {
      t.throws(() => tryLockSync(root, { timeoutMs: 1 + (performance.now() % 10) }), {
        instanceOf: LockError
      })
      await new Promise(setImmediate)
    }
    deleting.kill()
    await deleting.ends()
    holder.tell('unlock')
    for (const lock of locks) {
      await (
        await inTime('it is granted', lock)
      )()
    }
  }
)

test('no member there', async (t) => {
  if (etcd !== false) return t.pass()
  const begun = performance.now()
  const ports = [await freePort(), await freePort()]
  const error = await t.throwsAsync(
    openRoot(`etcd://127.0.0.1:${ports[0]},127.0.0.1:${ports[1]}/store`),
    { instanceOf: LockError }
  )
  t.is((error.cause as NodeJS.ErrnoException).code, 'ECONNREFUSED')
  t.regex(error.message, /no server listens at 127\.0\.0\.1:\d+: start it/)
  t.true(performance.now() - begun < 5_000)
})

onEtcd('a new request fails when the cluster is away, one attempt too', async (t) => {
  const server = await ownCluster(t)
  const root = await opened(t, server.url())
  await (
    await tryLock(root)
  )()
  await server.stop()
  for (const wait of [true, false]) {
    const error = await t.throwsAsync(inTime('it fails', tryLock(root, { wait })), {
      instanceOf: LockError
    })
    t.is(error.reason, 'system')
  }
  await server.begin()
  await (
    await inTime('it is locked', eventuallyLocked(root))
  )()
})

onEtcd('a lease is whole seconds, and recovery can not be refused', async (t, server) => {
  const root = await opened(t, freshUrl(server))
  const error = await t.throwsAsync(tryLock(root, { recover: false }))
  t.regex(error!.message, /recover must be true on etcd/)
  const unlock = await tryLock(root, { heartbeatMs: 300, staleMs: 2_100 })
  const { kvs } = await server.call<{ kvs: { key: string }[] }>('kv/range', {
    key: base64('\0'),
    range_end: base64('\0')
  })
  t.true(kvs.length > 0)
  const { leases } = await server.call<{ leases: { ID: string }[] }>('lease/leases', {})
  const granted = await Promise.all(
    leases.map(({ ID }) => server.call<{ grantedTTL: string }>('lease/timetolive', { ID }))
  )
  t.true(granted.some(({ grantedTTL }) => grantedTTL === '3'))
  await unlock()
})

onEtcd('what can not be read in base is refused, and nothing is locked', async (t, server) => {
  const url = freshUrl(server)
  const root = await opened(t, url)
  await (
    await tryLock(root)
  )()
  const key = base64(`${new URL(url).pathname.slice(1)}/base`)
  for (const value of ['', 'micros=1', `cluster=1\nmicros=${2n ** 60n}\nstale_ms=1`]) {
    await server.call('kv/put', { key, value: base64(value) })
    const error = await t.throwsAsync(inTime('it is refused', tryLock(root)), {
      instanceOf: LockError
    })
    t.regex(error.message, /base can't be read: somebody has changed it/)
  }
})

const alone = needing(test.serial, etcd)

alone('a member that ends or stands still loses nobody the lock or the place', async (t) => {
  const three = await ownCluster(t, 3)
  const url = three.url()
  const root = await opened(t, url)
  const unlock = await tryLock(root, TERMS)
  const waiter = child(t, 'server-holder', { url, options: TERMS })
  await waiter.says('waiting')
  for (const how of ['SIGKILL', 'SIGSTOP'] as const) {
    const leads = await Promise.all(three.members.map((member) => member.isLeader()))
    const leader = three.members[leads.indexOf(true)]!
    if (how === 'SIGKILL') await leader.stop('immediate')
    else leader.kill(how)
    const begun = performance.now()
    await eventually('more than a lease has passed', () => performance.now() - begun > 7_500)
    t.false(unlock.signal.aborted, how)
    t.false(waiter.hasSaid('held'), how)
    // One that stood still for longer than a lease may end it when it goes on, before it hears of the new leader
    // (docs/protocol-etcd.md); so it stays as it is.
    if (how === 'SIGSTOP') break
    leader.begin()
    for (const member of three.members) await member.isUp()
  }
  await unlock()
  t.true((await waiter.says('held')).token > unlock.token)
})

alone('after a restore, leases of the cluster before are sat out, and tokens rise', async (t) => {
  const server = await ownCluster(t)
  const url = server.url()
  const root = await opened(t, url)
  const terms = { heartbeatMs: 1_000, staleMs: 4_000 }
  await (
    await tryLock(root, terms)
  )()
  await server.stop()
  const member = server.members[0]!
  const snapshot = join(server.folder, 'snapshot')
  await copyFile(join(member.data, 'member', 'snap', 'db'), snapshot)
  await server.begin()
  // Of this grant the snapshot knows nothing.
  const unlock = await tryLock(root, terms)
  await server.stop()
  await member.restore(snapshot)
  const waiting = tryLock(root, terms)
  await server.begin()
  const begun = performance.now()
  await eventually('it is told', () => unlock.signal.aborted)
  await mustBlock(waiting)
  const next = await inTime('the lock is granted', waiting)
  const took = performance.now() - begun
  t.true(took > terms.staleMs - 1_500, `${took} ms`)
  t.true(next.token > unlock.token)
  await next()
  await unlock()
  // Once is enough.
  const again = performance.now()
  await (
    await tryLock(root, terms)
  )()
  t.true(performance.now() - again < 3_000)
})

alone('after a restore, those who do not wait get the lock when old leases are over', async (t) => {
  const server = await ownCluster(t)
  const root = await opened(t, server.url())
  const terms = { heartbeatMs: 1_000, staleMs: 3_000 }
  await (
    await tryLock(root, terms)
  )()
  await server.stop()
  const member = server.members[0]!
  const snapshot = join(server.folder, 'snapshot')
  await copyFile(join(member.data, 'member', 'snap', 'db'), snapshot)
  await member.restore(snapshot)
  await server.begin()
  const begun = performance.now()
  const unlock = await eventuallyLocked(root, { ...terms, wait: false })
  const took = performance.now() - begun
  t.true(took > terms.staleMs - 500, `${took} ms`)
  await unlock()
})

alone('users, their passwords and what they may do', async (t) => {
  const server = await ownCluster(t)
  const user = async (name: string, password: string, ...roles: string[]) => {
    await server.call('auth/user/add', { name, password })
    for (const role of roles) await server.call('auth/user/grant', { user: name, role })
  }
  await user('root', 'r', 'root')
  await server.call('auth/role/add', { name: 'store' })
  const perm = { permType: 2, key: base64('store/'), range_end: base64('store0') }
  await server.call('auth/role/grant', { name: 'store', perm })
  await user('app', 'p@ss/word', 'store')
  await user('visitor', 'v')
  await server.call('auth/enable', {})
  const url = (userInfo: string) => server.url().replace('etcd://', `etcd://${userInfo}`)
  const refusal = async (userInfo: string) => {
    const error = await t.throwsAsync(openRoot(url(userInfo)), { instanceOf: LockError })
    t.log(error.message)
    t.false(JSON.stringify([error.message, error.path, error.stack]).includes('hush'))
    t.is((error.cause as NodeJS.ErrnoException).code, 'EACCES')
    return error.message
  }
  t.regex(await refusal(''), /name a user in the URL/)
  t.regex(await refusal('app:hush@'), /correct user and password/)
  t.regex(await refusal('visitor:v@'), /visitor needs a role .* readwrite store\//)
  const root = await opened(t, url('app:p%40ss%2Fword@'))
  t.false(root.path.includes('ss'))
  const unlock = await tryLock(root, { ...TERMS, staleMs: 3_000 })
  const lock = tryRLock(root)
  await mustBlock(lock)
  t.is((await inspect(root)).holder?.pid, process.pid)
  await unlock()
  await (
    await lock
  )()
  process.env['ETCDCTL_PASSWORD'] = 'p@ss/word'
  t.teardown(() => delete process.env['ETCDCTL_PASSWORD'])
  const status = await run(t, 'status', url('app@'))
  t.regex(status.out, /^state +free$/m, status.err)
})

needing(
  test.serial,
  etcd,
  openssl
)('certificates, of both sides', async (t) => {
  const at = await certificates(t)
  const files = ['--cert-file', at('server.pem'), '--key-file', at('server.key')]
  const trusted = ['--client-cert-auth', '--trusted-ca-file', at('ca.pem')]
  const server = await Cluster.startEncrypted([...files, ...trusted])
  t.teardown(() => server.remove())
  const url = (host: string, query: string) =>
    `etcd://${host}:${server.members[0]!.client}/store?${query}`
  const ca = `sslrootcert=${at('ca.pem')}`
  const own = `sslcert=${at('client.pem')}&sslkey=${at('client.key')}`
  let root: Root | undefined
  await eventually('the member answers', async () => {
    root = await openRoot(url('localhost', `${ca}&${own}`)).catch(() => undefined)
    return root
  })
  await (
    await tryLock(root!)
  )()
  await root!.close()
  for (const [host, query, said] of [
    ['localhost', own + '&sslmode=verify-full', /certificate is not trusted/],
    ['127.0.0.1', `${ca}&${own}`, /for another host/],
    ['localhost', ca, /./],
    [
      'localhost',
      `${ca}&sslcert=${at('nowhere')}&sslkey=${at('client.key')}`,
      /nowhere can't be used/
    ],
    ['localhost', `${ca}&sslcert=${at('client.pem')}`, /belong together/],
    ['localhost', 'sslmode=disable', /./]
  ] as const) {
    const error = await t.throwsAsync(inTime('it is refused', openRoot(url(host, query))), {
      instanceOf: LockError
    })
    t.log(error.message)
    t.regex(error.message, said)
  }
})
