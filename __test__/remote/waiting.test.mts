// Waiting on a server: order, aborts, and a server that goes away.

import { inspect, LockError, tryLock, tryRLock, type UnlockFunc } from 'rootlock'

import { child } from '../helpers/child.mjs'
import { eventually, inTime } from '../helpers/eventually.mjs'
import { mustBlock } from '../helpers/must-block.mjs'
import { freshUrl, linked, opened, servers } from '../helpers/server-root.mjs'

const { onPostgres, onServers } = servers()

onServers('a thousand callers of one lock are served in order', async (t, server) => {
  const root = await opened(t, freshUrl(server))
  const first = await tryLock(root)
  const order: number[] = []
  let last = first.token
  const all = Array.from({ length: 1_000 }, async (_, index) => {
    const unlock = await tryLock(root)
    order.push(index)
    t.true(unlock.token > last)
    last = unlock.token
    await unlock()
  })
  await first()
  await inTime('all are served', Promise.all(all))
  t.deepEqual(order, Array.from(order.keys()))
})

onPostgres('a hundred callers of one lock have one connection', async (t, server) => {
  const root = await opened(t, freshUrl(server))
  const first = await tryLock(root)
  const all = Array.from({ length: 100 }, async () => (await tryLock(root))())
  const sessions = await server.sql(
    "SELECT count(*) FROM pg_stat_activity WHERE usename = 'app' AND backend_type = 'client backend'"
  )
  // That of the lock, and perhaps the root's own.
  t.true(Number(sessions) <= 3, sessions)
  await first()
  await inTime('all are served', Promise.all(all))
})

onServers('processes that wait are served in the order in which they came', async (t, server) => {
  const url = freshUrl(server)
  const root = await opened(t, url)
  const unlock = await tryLock(root)
  const waiters = []
  for (let index = 1; index <= 3; index++) {
    const waiter = child(t, 'server-holder', { url })
    await waiter.says('waiting')
    await eventually('it waits at the server', async () => (await server.locks()).waiting === index)
    waiters.push(waiter)
  }
  await unlock()
  let last = unlock.token
  for (const waiter of waiters) {
    const { token } = await waiter.says('held')
    t.true(token > last)
    last = token
    waiter.tell('unlock')
    await waiter.says('unlocked')
  }
})

onServers('an aborted wait leaves nothing at the server', async (t, server) => {
  const url = freshUrl(server)
  const root = await opened(t, url)
  const holder = child(t, 'server-holder', { url })
  await holder.says('held')
  const controller = new AbortController()
  const lock = tryLock(root, { signal: controller.signal })
  await eventually('it waits at the server', async () => (await server.locks()).waiting === 1)
  controller.abort(new Error('enough'))
  const error = await t.throwsAsync(lock, { instanceOf: LockError })
  t.is((error.cause as Error).message, 'enough')
  t.is(error.reason, 'aborted')
  t.is((await server.locks()).waiting, 0)
  holder.tell('unlock')
  await holder.says('unlocked')
  await (
    await tryLock(root, { wait: false })
  )()
})

onServers('a grant that meets an abort is given back, every time', async (t, server) => {
  const url = freshUrl(server)
  const root = await opened(t, url)
  let [granted, aborted] = [0, 0]
  for (let round = 0; round < 60; round++) {
    const unlock = await tryLock(root)
    const controller = new AbortController()
    const lock = tryLock(root, { signal: controller.signal })
    const abort = () =>
      new Promise<void>((resolve) => setTimeout(resolve, round % 6)).then(() => controller.abort())
    const [, result] = await inTime(
      'both end',
      Promise.all([unlock(), lock.catch((error: unknown) => error), abort()])
    )
    if (result instanceof LockError) aborted++
    else {
      granted++
      await (result as UnlockFunc)()
    }
    await (
      await inTime('the lock is free', tryLock(root))
    )()
  }
  t.is(granted + aborted, 60)
  t.is((await inspect(root)).state, 'free')
})

onServers('a wait goes on when the server is back', async (t, server) => {
  const url = freshUrl(server)
  const root = await opened(t, url)
  const holder = child(t, 'server-holder', { url, options: { heartbeatMs: 200, staleMs: 1_000 } })
  const { token } = await holder.says('held')
  let waits = false
  const lock = tryLock(root, { onWait: () => (waits = true) })
  lock.catch(() => {})
  await eventually('it waits', () => waits)
  await server.stop()
  await holder.says('lost')
  await mustBlock(lock)
  await server.begin()
  const unlock = await inTime('the lock is granted', lock)
  t.true(unlock.token > token)
  await unlock()
})

onPostgres('a call that blocks goes on if its session ends before it waits', async (t, server) => {
  const url = freshUrl(server)
  const root = await opened(t, url)
  // By another process, so that this one has no session yet.
  const before = child(t, 'server-holder', { url })
  const { token } = await before.says('held')
  before.tell('unlock')
  await before.says('unlocked')
  const name = new URL(url).searchParams.get('root')!
  const inTheWay = server
    .sql(
      `BEGIN; SELECT id FROM rootlock.lock WHERE root = '${name}' FOR UPDATE; SELECT pg_sleep(600)`
    )
    .catch(() => {})
  const ofTheRow = "query = 'SELECT pg_sleep(600)'"
  const count = (where: string) =>
    server.sql(`SELECT count(*) FROM pg_stat_activity WHERE ${where}`).then(Number)
  await eventually('the row is locked', async () => (await count(ofTheRow)) === 1)
  const lock = tryLock(root)
  lock.catch(() => {})
  const session = "application_name = 'rootlock' AND wait_event_type = 'Lock'"
  await eventually('it has connected', async () => (await count(session)) === 1)
  await server.terminateHolders()
  await mustBlock(lock)
  await server.sql(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE ${ofTheRow}`)
  await inTheWay
  const unlock = await inTime('the lock is granted', lock)
  t.true(unlock.token > token)
  await unlock()
})

onServers(
  'while the server is away, a wait can be aborted at once, and a limit ends it',
  async (t, server) => {
    const url = freshUrl(server)
    const root = await opened(t, url)
    const holder = child(t, 'server-holder', { url })
    await holder.says('held')
    const controller = new AbortController()
    let waiting = 0
    const onWait = () => waiting++
    const [aborted, limited, short] = [
      tryLock(root, { signal: controller.signal, onWait }),
      tryRLock(root, { timeoutMs: 4_000, onWait }),
      tryRLock(root, { timeoutMs: 300, onWait })
    ]
    for (const wait of [aborted, limited, short]) wait.catch(() => {})
    await eventually('they wait', () => waiting === 3)
    const held = await t.throwsAsync<LockError>(inTime('the limit ends it', short))
    t.is(held.reason, 'held')
    await server.stop()
    try {
      await mustBlock(aborted)
      controller.abort()
      const error = await t.throwsAsync<LockError>(inTime('the abort ends it', aborted))
      t.is(error.reason, 'aborted')
      // Nobody knows whether it is held.
      const away = await t.throwsAsync<LockError>(inTime('the limit ends it', limited))
      t.is(away.reason, 'system', away.message)
      t.regex(away.message, /ECONNREFUSED/)
    } finally {
      await server.begin()
    }
  }
)

onServers(
  'a limit of a call that nobody answers does not say that the lock is held',
  async (t, server) => {
    const { links, url } = await linked(t, server, freshUrl(server))
    const root = await opened(t, url)
    for (const link of links) link.stop()
    const error = await t.throwsAsync<LockError>(
      inTime('the limit ends it', tryLock(root, { timeoutMs: 500 }))
    )
    t.is(error.reason, 'system', error.message)
    t.regex(error.message, /ETIMEDOUT: the server does not answer/)
  }
)

onServers('a call that blocks waits for another process, and names it', async (t, server) => {
  const url = freshUrl(server)
  const root = await opened(t, url)
  const holder = child(t, 'server-holder', { url })
  const { token } = await holder.says('held')
  const error = await t.throwsAsync(tryLock(root, { wait: false }), { instanceOf: LockError })
  t.is(error.reason, 'held')
  t.is(error.holder?.pid, holder.pid)
  t.is(error.holder?.token, token)
  t.true(error.path.endsWith('#.lock'), error.path)
})
