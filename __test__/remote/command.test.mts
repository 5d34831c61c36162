// The command, with a server's URL in a directory's place.

import { readFileSync } from 'node:fs'

import { tryLock } from 'rootlock'

import { command, node, run, untilTold } from '../helpers/command.mjs'
import { inTime } from '../helpers/eventually.mjs'
import { PASSWORD } from '../helpers/postgres.mjs'
import { freshUrl, opened, servers } from '../helpers/server-root.mjs'

const { onPostgres, onServers } = servers()

const SECRETS = [PASSWORD, encodeURIComponent(PASSWORD)]

onServers(
  'run gives the command the lock and the token, and passes on its exit code',
  async (t, server) => {
    const url = freshUrl(server)
    const script = node('console.log(process.env.ROOTLOCK_TOKEN); process.exit(7)')
    const { code, out, err } = await run(t, 'run', url, '--', ...script)
    t.is(code, 7, err)
    t.regex(out, /^\d{16}\n$/)
  }
)

onServers(
  'a run keeps the lock for its command, and no process shows the password',
  async (t, server) => {
    const url = freshUrl(server)
    const root = await opened(t, url)
    const first = command(t, 'run', url, '--', ...untilTold)
    await first.prints('ready')
    const { code, err } = await run(t, 'run', '--no-wait', url, '--', ...node('throw 1'))
    t.is(code, 75)
    t.regex(err, /store is locked by pid \d+/)
    const keeper = Number(/pid (\d+)/.exec(err)![1])
    for (const secret of SECRETS) {
      t.false(err.includes(secret))
      if (process.platform !== 'linux') continue
      for (const pid of [first.pid, keeper]) {
        t.false(readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(secret), String(pid))
      }
    }
    const lock = tryLock(root)
    first.kill('SIGTERM')
    await first.ends()
    await (
      await inTime('the lock is free', lock)
    )()
  }
)

onServers('a run inside a run of the same lock is refused', async (t, server) => {
  const url = freshUrl(server)
  const [file, main] = command(t, '--version').process.spawnargs as [string, string]
  const script = `const { status } = require('node:child_process').spawnSync(${JSON.stringify(file)},
    ${JSON.stringify([main, 'run', url, '--', 'true'])}, { stdio: 'inherit' }); process.exit(status)`
  const { code, err } = await run(t, 'run', url, '--', ...node(script))
  t.is(code, 64, err)
  t.regex(err, /it would wait for itself/)
})

onServers('status tells the state, the holder and the server', async (t, server) => {
  const url = freshUrl(server)
  const root = await opened(t, url)
  const unlock = await tryLock(root)
  const text = await run(t, 'status', url)
  t.is(text.code, 0, text.err)
  t.regex(text.out, /^state +held by a writer$/m)
  t.regex(text.out, new RegExp(`^holder +pid ${process.pid} `, 'm'))
  t.true(text.out.includes(`${server.name} `), text.out)
  const json = await run(t, 'status', '--json', url)
  const { state, holder } = JSON.parse(json.out) as { state: string; holder: { token: number } }
  t.deepEqual([state, holder.token], ['exclusive', unlock.token])
  for (const secret of SECRETS) t.false((text.out + json.out).includes(secret))
  await unlock()
  t.regex((await run(t, 'status', url)).out, /^state +free$/m)
})

onServers(
  'doctor tries the lock with two processes, and finds nothing wrong',
  async (t, server) => {
    const url = freshUrl(server)
    const { code, out, err } = await run(t, 'doctor', url)
    t.is(code, 0, out + err)
    t.notRegex(out, /^fail/m)
    t.true(out.includes(`${server.name} `), out)
    t.regex(out, /a waiter acquires the lock when its holder is killed/)
    t.regex(out, /This root can be locked\.\n$/)
    for (const secret of SECRETS) t.false(out.includes(secret))
  }
)

onPostgres('the password may be in PGPASSWORD', async (t, server) => {
  const url = freshUrl(server)
  const bare = url.replace(/:[^:@]*@/, '@')
  process.env['PGPASSWORD'] = PASSWORD
  t.teardown(() => delete process.env['PGPASSWORD'])
  const { code, out, err } = await run(t, 'run', bare, '--', ...node('console.log("mine")'))
  t.deepEqual([code, out], [0, 'mine\n'], err)
  // Whatever else is in the URL.
  const without = await run(t, 'status', `${bare}&sync=1`)
  t.notRegex(without.err, /password/)
  process.env['PGPASSWORD'] = 'wrong'
  const refused = await run(t, 'run', bare, '--', ...node('console.log("mine")'))
  t.is(refused.code, 69)
  t.regex(refused.err, /password authentication failed/)
  t.regex(refused.err, /rootlock doctor/)
})
