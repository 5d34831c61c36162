// Servers that can't be used, and URLs that can't be understood: each says so at once, and never shows a password.

import { createServer, type AddressInfo } from 'node:net'
import { once } from 'node:events'

import test, { type ExecutionContext } from 'ava'
import { file, inspect, LockError, openRoot, openRootSync, tryLock, tryLockSync } from 'rootlock'

import { inTime } from '../helpers/eventually.mjs'
import { needing } from '../helpers/needing.mjs'
import { PASSWORD } from '../helpers/postgres.mjs'
import { freshUrl, opened, servers } from '../helpers/server-root.mjs'
import { addon } from '../helpers/test-server.mjs'

const { onPostgres } = servers()

const SECRET = 'hush-hush'

/** The error of opening a root. */
async function refusal(t: ExecutionContext, url: string): Promise<LockError> {
  const error = await t.throwsAsync(inTime('it is refused', openRoot(url)), {
    instanceOf: LockError
  })
  for (const secret of [SECRET, PASSWORD, encodeURIComponent(PASSWORD)]) {
    t.false(
      JSON.stringify([error.message, error.path, error.stack, String(error.cause)]).includes(secret)
    )
  }
  t.is(error.code, 'ERR_LOCK_UNSUCCESSFUL')
  t.is(error.reason, 'system')
  t.log(error.message)
  return error
}

const codeOf = (error: LockError) => (error.cause as NodeJS.ErrnoException).code

onPostgres('a wrong password', async (t, server) => {
  const error = await refusal(t, server.url('store', { password: SECRET }))
  t.is(codeOf(error), 'EACCES')
  t.regex(error.message, /password authentication failed/)
})

onPostgres('a database that does not exist', async (t, server) => {
  const error = await refusal(t, server.url('store', { database: 'nowhere' }))
  t.regex(error.message, /nowhere/)
})

onPostgres('a role that does not exist', async (t, server) => {
  await refusal(t, server.url('store', { role: 'nobody' }))
})

test('no server there', async (t) => {
  const probe = createServer().listen(0, '127.0.0.1')
  await once(probe, 'listening')
  const { port } = probe.address() as AddressInfo
  probe.close()
  await once(probe, 'close')
  if (!(await available(t))) return
  const error = await refusal(t, `postgres://app:${SECRET}@127.0.0.1:${port}/app?root=store`)
  t.is(codeOf(error), 'ECONNREFUSED')
})

/** Whether there is a binding for servers. */
async function available(t: ExecutionContext): Promise<boolean> {
  try {
    await openRoot('postgres://127.0.0.1:1/x')
  } catch (error) {
    if (error instanceof LockError) return true
    t.is((error as NodeJS.ErrnoException).code, 'ERR_DLOPEN_FAILED')
  }
  return false
}

onPostgres('a server that speaks another protocol', async (t) => {
  const other = createServer((socket) =>
    socket.on('error', () => {}).end('HTTP/1.1 400 Bad Request\r\n\r\n')
  )
  other.listen(0, '127.0.0.1')
  await once(other, 'listening')
  t.teardown(() => void other.close())
  const { port } = other.address() as AddressInfo
  await refusal(t, `postgres://app:${SECRET}@127.0.0.1:${port}/app?root=store`)
})

onPostgres(
  'a role without the right to make the tables is given the statements to run',
  async (t, server) => {
    await server.sql(
      `CREATE ROLE visitor LOGIN PASSWORD '${PASSWORD}'; CREATE DATABASE bare; REVOKE CREATE ON DATABASE bare FROM PUBLIC`,
      'postgres'
    )
    const error = await refusal(t, server.url('store', { role: 'visitor', database: 'bare' }))
    t.regex(error.message, /CREATE SCHEMA/)
  }
)

onPostgres(
  'a password beside the URL opens the root, and is in nothing that is shown',
  async (t, server) => {
    const url = freshUrl(server).replace(/:[^:@]*@/, '@')
    const root = await openRoot({ url: new URL(url), password: PASSWORD })
    t.teardown(() => root.close())
    t.is(root.path, url)
    const unlock = await tryLock(root)
    t.is((await inspect(root)).state, 'exclusive')
    await unlock()
    await root.close()
    await t.throwsAsync(tryLock(root), { code: 'ERR_ROOT_CLOSED' })
  }
)

onPostgres('the password of a URL is not in the path', async (t, server) => {
  const url = freshUrl(server)
  const root = await opened(t, url)
  t.is(root.path, url.replace(/:[^:@]*@/, '@'))
})

onPostgres('a root is opened by its socket, and by a call that blocks', async (t, server) => {
  const root = openRootSync(server.socketUrl('by-socket'))
  t.teardown(() => root.close())
  const unlock = tryLockSync(root)
  t.is((await inspect(root)).holder?.pid, process.pid)
  unlock.sync()
})

test('URLs that can be read in two ways are refused, and not shown', async (t) => {
  for (const url of [
    `postgres://app:${SECRET}@home@host/app`,
    `postgres://app:${SECRET}/x@host/app`,
    `postgres://app:${SECRET}?x@host/app`,
    `postgres://app:${SECRET}#x@host/app`,
    `postgres://app:${SECRET}@ho st/app`,
    `postgres://app:${SECRET}\n@host/app`
  ]) {
    for (const open of [
      async () => openRootSync(url),
      () => openRoot(url),
      () => openRoot({ url })
    ]) {
      const error = await t.throwsAsync(open, { code: 'ERR_INVALID_ARG_VALUE' })
      t.false(error.message.includes(SECRET), error.message)
    }
  }
})

test('what was meant to be a URL is not taken for a directory, and not shown', async (t) => {
  for (const path of [
    ` postgres://app:${SECRET}@host/app`,
    `jdbc:postgres://app:${SECRET}@host/app`,
    `mysql://app:${SECRET}@host/app`,
    `postgres:app:${SECRET}@host/app`,
    `etcd:app:${SECRET}@host/app`
  ]) {
    for (const use of [() => openRoot(path), () => tryLock(path), () => inspect(path)]) {
      const error = await t.throwsAsync(use, { code: 'ERR_INVALID_ARG_VALUE' })
      t.false(error.message.includes(SECRET), error.message)
      t.regex(error.message, /must be a path/)
    }
  }
})

onPostgres('a parameter that is not known is not shown', async (t, server) => {
  for (const name of ['passwrod', 'Password', 'secret']) {
    const error = await refusal(t, `${server.url('store')}&${name}=${SECRET}`)
    t.regex(error.message, new RegExp(`unknown parameter, "${name}"`))
  }
})

onPostgres('a parameter that is known is shown, but for a password', async (t, server) => {
  const unknown = await refusal(t, `${server.url('store')}&nothing=1`)
  const [, list = ''] = /known are: ([^']*), parse/.exec(unknown.message) ?? []
  const known = list.split(', ')
  t.true(known.length > 10, unknown.message)
  for (const name of known) {
    const { path } = await refusal(t, `postgres://app@127.0.0.1:1/app?${name}=shown&nothing=1`)
    t.is(path.includes(`${name}=shown`), name !== 'password', path)
  }
})

needing(test, addon)('parameters that are appended to parameters are noticed', async (t) => {
  const error = await refusal(t, `postgres://app:${SECRET}@host/app?sslmode=disable?root=store`)
  t.regex(error.message, /a second '\?': its parameters are joined by '&'/)
  t.false(error.message.includes(SECRET))
})

test('wrong arguments beside a URL are refused', async (t) => {
  const url = 'postgres://app@host/app'
  const refused = (given: object, code: string) =>
    t.throwsAsync(openRoot(given as never), { code }, JSON.stringify(given))
  await refused({ url: 'redis://host' }, 'ERR_INVALID_ARG_TYPE')
  await refused({ url, root: 'mine' }, 'ERR_INVALID_ARG_VALUE')
  await refused({ url, pasword: SECRET }, 'ERR_INVALID_ARG_VALUE')
  await refused({ url, password: 7 }, 'ERR_INVALID_ARG_VALUE')
  await refused({ url, tls: 'yes' }, 'ERR_INVALID_ARG_TYPE')
  await refused(
    { url: `postgres://app:${SECRET}@host/app`, password: SECRET },
    'ERR_INVALID_ARG_VALUE'
  )
  await refused({ url: `${url}?password=${SECRET}`, password: SECRET }, 'ERR_INVALID_ARG_VALUE')
  await refused({ url: `${url}?sslmode=disable`, tls: true }, 'ERR_INVALID_ARG_VALUE')
})

test("a server's URL in a directory's place is refused, with the way that works", async (t) => {
  const url = `postgres://app:${SECRET}@host/app`
  for (const given of [url, new URL(url)]) {
    for (const call of [
      () => tryLock(given),
      () => inspect(given),
      async () => tryLockSync(given),
      async () => file(given)
    ]) {
      const error = await t.throwsAsync(call, { code: 'ERR_INVALID_ARG_VALUE' })
      t.regex(error.message, /open it by openRoot/)
      t.false(error.message.includes(SECRET))
    }
  }
  const other = await t.throwsAsync(tryLock(new URL(`redis://app:${SECRET}@host`)), {
    code: 'ERR_OUT_OF_RANGE'
  })
  t.false(other.message.includes(SECRET))
})
