/** Real servers on loopback, with every commit on disk. */
import { execFileSync, spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { chownSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { createServer, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'

const file = (name: string) => fileURLToPath(new URL(`../../../${name}`, import.meta.url))

export interface Started {
  url: string
  /** For peers. */
  endpoints: string
  stop(): Promise<void>
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

async function until(is: () => unknown): Promise<void> {
  for (let tries = 0; tries < 600; tries++) {
    try {
      if (await is()) return
    } catch {
      // Not yet.
    }
    await pause(100)
  }
  throw new Error('the server does not answer')
}

async function end(processes: ChildProcess[], folder: string): Promise<void> {
  for (const running of processes) {
    if (running.exitCode !== null) continue
    const ended = once(running, 'exit')
    running.kill('SIGINT')
    await ended
  }
  rmSync(folder, { recursive: true, force: true, maxRetries: 3 })
}

/** The programs of PostgreSQL, where Debian puts them or on the path. */
function postgresBin(): string {
  const home = '/usr/lib/postgresql'
  const versions = existsSync(home) ? readdirSync(home).toSorted((a, b) => +b - +a) : []
  return versions.length > 0 ? `${home}/${versions[0]}/bin/` : ''
}

export async function postgres(): Promise<Started> {
  const folder = mkdtempSync(path.join(tmpdir(), 'rootlock-bench-pg-'))
  const port = await freePort()
  const data = path.join(folder, 'data')
  const bin = postgresBin()
  const asRoot = process.getuid?.() === 0
  const uid = asRoot ? Number(execFileSync('id', ['-u', 'nobody'])) : undefined
  if (uid !== undefined) chownSync(folder, uid, uid)
  const line = (...command: string[]): [string, string[]] =>
    uid === undefined
      ? [command[0]!, command.slice(1)]
      : ['setpriv', [`--reuid=${uid}`, `--regid=${uid}`, '--clear-groups', ...command]]
  const [init, initArgs] = line(
    `${bin}initdb`,
    '-D',
    data,
    '-U',
    'app',
    '-A',
    'trust',
    '--locale=C'
  )
  execFileSync(init, initArgs, { stdio: 'ignore', cwd: folder })
  const [run, args] = line(
    `${bin}postgres`,
    '-D',
    data,
    '-p',
    String(port),
    '-k',
    folder,
    '-c',
    'listen_addresses=127.0.0.1'
  )
  const server = spawn(run, args, { stdio: 'ignore', cwd: folder })
  const url = `postgres://app@127.0.0.1:${port}/postgres`
  await until(() => execFileSync(`${bin}psql`, [url, '-c', 'SELECT 1'], { stdio: 'pipe' }).length)
  return { url: `${url}?root=bench`, endpoints: url, stop: () => end([server], folder) }
}

export async function etcd(members: number): Promise<Started> {
  const program = file('target/etcd/etcd')
  execFileSync('go', ['build', '-o', program, '.'], { cwd: file('__test__/remote/etcd') })
  const folder = mkdtempSync(path.join(tmpdir(), 'rootlock-bench-etcd-'))
  const all: { client: string; peer: string; name: string }[] = []
  for (let index = 0; index < members; index++) {
    const [client, peer] = [await freePort(), await freePort()]
    const [one, other] = [client, peer].map((port) => `http://127.0.0.1:${port}`)
    all.push({ client: one!, peer: other!, name: `m${index}` })
  }
  const cluster = all.map(({ name, peer }) => `${name}=${peer}`).join(',')
  const processes = all.map(({ client, peer, name }) => {
    const data = path.join(folder, name)
    mkdirSync(data, { mode: 0o700 })
    const flags = {
      name,
      'data-dir': data,
      'log-level': 'error',
      'listen-client-urls': client,
      'advertise-client-urls': client,
      'listen-peer-urls': peer,
      'initial-advertise-peer-urls': peer,
      'initial-cluster': cluster
    }
    const args = Object.entries(flags).flatMap(([flag, value]) => [`--${flag}`, value])
    return spawn(program, args, { stdio: 'ignore' })
  })
  for (const { client } of all) {
    const body = JSON.stringify({ key: 'eA==' })
    await until(async () => (await fetch(`${client}/v3/kv/range`, { method: 'POST', body })).ok)
  }
  const endpoints = all.map(({ client }) => client).join(',')
  const url = `etcd://${endpoints.replaceAll('http://', '')}/bench`
  return { url, endpoints, stop: () => end(processes, folder) }
}
