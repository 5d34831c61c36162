// What is particular to PostgreSQL: what is in between, certificates, a standby that is promoted, a clock that is set.

import { spawn } from 'node:child_process'
import { chown, writeFile } from 'node:fs/promises'
import { existsSync } from 'node:fs'
import { join } from 'node:path'

import test, { type ExecutionContext } from 'ava'
import { LockError, openRoot, tryLock } from 'rootlock'

import { certificates, openssl } from '../helpers/certificates.mjs'
import { child } from '../helpers/child.mjs'
import { eventually, inTime } from '../helpers/eventually.mjs'
import { mustBlock } from '../helpers/must-block.mjs'
import { needing, onPath, type Missing } from '../helpers/needing.mjs'
import { PASSWORD, postgres, ROLE, Server, serverUser } from '../helpers/postgres.mjs'
import { opened } from '../helpers/server-root.mjs'
import { freePort } from '../helpers/test-server.mjs'

const TERMS = { heartbeatMs: 500, staleMs: 3_000 }

async function started(t: ExecutionContext, settings?: string[]): Promise<Server> {
  const server = await Server.start(settings)
  t.teardown(() => server.remove())
  return server
}

const refusal = async (t: ExecutionContext, url: string) => {
  const refused = inTime('it is refused', openRoot(url))
  const error = await t.throwsAsync(refused, { instanceOf: LockError })
  t.log(error.message)
  return error.message
}

const pooler: Missing = onPath('pgbouncer')

needing(
  test.serial,
  postgres,
  pooler
)('a pooler that shares sessions is refused, and one that keeps them locks', async (t) => {
  const server = await started(t)
  const uid = await serverUser()
  for (const mode of ['transaction', 'session']) {
    const port = await freePort()
    const file = join(server.folder, `${mode}.ini`)
    const users = join(server.folder, 'users')
    await writeFile(users, `"${ROLE}" "${PASSWORD}"\n`)
    const lines = [
      '[databases]',
      `* = host=127.0.0.1 port=${server.port}`,
      '[pgbouncer]',
      `listen_addr = 127.0.0.1`,
      `listen_port = ${port}`,
      `pool_mode = ${mode}`,
      'auth_type = scram-sha-256',
      `auth_file = ${users}`,
      'unix_socket_dir =',
      'ignore_startup_parameters = extra_float_digits'
    ]
    await writeFile(file, `${lines.join('\n')}\n`)
    const ids = uid === undefined ? {} : { uid, gid: uid }
    const running = spawn('pgbouncer', [file], { stdio: 'ignore', ...ids })
    t.teardown(() => void running.kill('SIGKILL'))
    const url = server.urlBy([port], server.url('store'))
    // It takes a moment to listen.
    await eventually('it answers', async () => {
      const error = await openRoot(`${url}-away`).then(
        (root) => root.close(),
        (failed: Error) => failed
      )
      return !String(error).includes('ECONNREFUSED')
    })
    t.regex(await refusal(t, url), /a connection pooler is in between/)
    if (mode === 'transaction') continue
    const root = await opened(t, `${url}&pooler=session`)
    const unlock = await tryLock(root, TERMS)
    const direct = await opened(t, server.url('store'))
    const lock = tryLock(direct, TERMS)
    await mustBlock(lock)
    await unlock()
    t.true((await lock).token > unlock.token)
    await (
      await lock
    )()
  }
})

needing(
  test.serial,
  postgres,
  openssl
)('certificates, of both sides', async (t) => {
  const at = await certificates(t)
  const uid = await serverUser()
  if (uid !== undefined) await chown(at('server.key'), uid, uid)
  const server = await started(t, [
    'ssl = on',
    `ssl_cert_file = '${at('server.pem')}'`,
    `ssl_key_file = '${at('server.key')}'`,
    `ssl_ca_file = '${at('ca.pem')}'`
  ])
  await server.allow('hostssl all all 127.0.0.1/32 cert')
  const url = (host: string, query: string) =>
    `postgres://${ROLE}@${host}:${server.port}/${ROLE}?root=store&${query}`
  const ca = `sslrootcert=${at('ca.pem')}`
  const own = `sslcert=${at('client.pem')}&sslkey=${at('client.key')}`
  const root = await opened(t, url('localhost', `sslmode=verify-full&${ca}&${own}`))
  await (
    await tryLock(root)
  )()
  for (const [host, query, said] of [
    ['localhost', `sslmode=verify-full&${own}`, /certificate is not trusted/],
    ['127.0.0.1', `sslmode=verify-full&${ca}&${own}`, /for another host/],
    ['localhost', `${ca}`, /certificate/],
    ['localhost', `${ca}&sslcert=${at('nowhere')}&sslkey=${at('client.key')}`, /can't be used/]
  ] as const) {
    t.regex(await refusal(t, url(host, query)), said)
  }
  await (await opened(t, url('127.0.0.1', `sslmode=verify-ca&${ca}&${own}`))).close()
})

needing(test.serial, postgres)(
  'after a promotion the lease is sat out, and the wait goes on there',
  async (t) => {
    const primary = await started(t)
    const standby = await primary.standby()
    t.teardown(() => standby.remove())
    const url = primary
      .url('store')
      .replace(`:${primary.port}/`, `:${primary.port},127.0.0.1:${standby.port}/`)
    const root = await opened(t, url)
    const holder = child(t, 'server-holder', { url, options: TERMS })
    const { token } = await holder.says('held')
    const lock = tryLock(root, TERMS)
    await mustBlock(lock)
    await eventually('the standby has the row', async () => {
      const there = await standby.sql('SELECT max(token) FROM rootlock.lock').catch(() => '')
      return Number(there) === token
    })
    await primary.stop('immediate')
    await holder.says('lost')
    await mustBlock(lock)
    await standby.sql('SELECT pg_promote()')
    const begun = performance.now()
    const unlock = await inTime('the lock is granted', lock)
    t.true(performance.now() - begun > TERMS.staleMs - 1_500)
    t.true(unlock.token > token)
    await unlock()
  }
)

const FAKETIME = '/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1'

const faketime: Missing = !existsSync(FAKETIME) && { program: 'faketime' }

needing(
  test.serial,
  postgres,
  faketime
)(
  'when the clock of the server is set forward, the holder is told or keeps its lock',
  async (t) => {
    const server = await Server.start()
    t.teardown(() => server.remove())
    const offset = join(server.folder, 'offset')
    await writeFile(offset, '+0\n')
    await server.stop()
    await server.begin({
      LD_PRELOAD: FAKETIME,
      FAKETIME_TIMESTAMP_FILE: offset,
      FAKETIME_NO_CACHE: '1',
      DONT_FAKE_MONOTONIC: '1'
    })
    const url = server.url('store')
    const root = await opened(t, url)
    const unlock = await tryLock(root, TERMS)
    const next = child(t, 'server-holder', { url, options: TERMS })
    await next.says('waiting')
    let last = unlock.token
    for (const step of [3_600, 0]) {
      await writeFile(offset, `+${step}\n`)
      const told = await server.sql('SELECT extract(epoch FROM clock_timestamp())')
      t.true(Math.abs(Number(told) - Date.now() / 1_000 - step) < 60, told)
      // Either it goes on, or it hears of its loss before or as the next one has the lock.
      const begun = performance.now()
      await eventually('beats have come', () => performance.now() - begun > 3 * TERMS.heartbeatMs)
      t.is(next.hasSaid('held'), unlock.signal.aborted, String(step))
      t.log(`set by ${step} s: ${unlock.signal.aborted ? 'told' : 'kept'}`)
    }
    await unlock()
    const { token } = await next.says('held')
    t.true(token > last)
    last = token
  }
)

needing(test, postgres)(
  'with sync=1, a holder that is left alone with an old primary loses its lock by itself',
  async (t) => {
    const primary = await started(t)
    const url = primary.url('store')
    const replicated = `${url}&sync=1`
    t.regex(await refusal(t, replicated), /sync=1 needs a synchronous standby/)
    const standby = await primary.standby()
    t.teardown(() => standby.remove())
    await primary.sql("ALTER SYSTEM SET synchronous_standby_names = '*'", 'postgres')
    await primary.sql('SELECT pg_reload_conf()')
    await eventually('the standby confirms', async () => {
      const state = await primary.sql('SELECT sync_state FROM pg_stat_replication')
      return state === 'sync'
    })
    const root = await opened(t, url)
    const careless = await tryLock(root, { ...TERMS, fileName: 'other' })
    const careful = await tryLock(await opened(t, replicated), TERMS)
    const begun = performance.now()
    await eventually('beats have come', () => performance.now() - begun > TERMS.staleMs)
    t.false(careful.signal.aborted)
    // Nobody can tell whether another standby has been promoted.
    await standby.stop('immediate')
    await eventually('it is lost', () => careful.signal.aborted)
    t.is((careful.signal.reason as LockError).reason, 'heartbeat-failed')
    t.false(careless.signal.aborted)
  }
)

needing(test, postgres)(
  'a session that the server does not end, as when its clock was set back, is ended by whoever waits for it',
  async (t) => {
    const server = await started(t)
    // One that may be ended for its silence, and one that may not.
    const roots = ['true', 'false']
    for (const ends of roots) {
      const root = await opened(t, server.url(ends))
      const unlock = await tryLock(root, TERMS)
      await unlock()
      const end = await server.silentSession(
        `SELECT pg_advisory_lock(1920232555, id) FROM rootlock.lock WHERE root = '${ends}';
         UPDATE rootlock.lock SET held = true, record = record ||
           jsonb_build_object('backend', pg_backend_pid(), 'ends', ${ends}) WHERE root = '${ends}'`
      )
      t.teardown(end)
    }
    const [ended, kept] = roots.map((ends) =>
      child(t, 'server-holder', { url: server.url(ends), options: TERMS })
    )
    const begun = performance.now()
    for (const waiter of [ended!, kept!]) await waiter.says('waiting')
    // Whoever waits looks when its slice of 30 s is over, or when somebody ends that.
    await eventually('the lock is granted', async () => {
      await server.sql(
        "SELECT pg_cancel_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
      )
      return ended!.hasSaid('held')
    })
    t.true(performance.now() - begun >= TERMS.staleMs)
    t.regex(server.log, /terminating connection due to administrator command/)
    t.false(kept!.hasSaid('held'))
    await server.terminateHolders()
    await kept!.says('held')
  }
)
