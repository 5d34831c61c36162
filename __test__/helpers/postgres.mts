// A real PostgreSQL server of a test's own, on a socket and a port of this machine.

import { execFile, spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readdirSync } from 'node:fs'
import { appendFile, chmod, chown, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { promisify } from 'node:util'

import { eventually, inTime } from './eventually.mjs'
import type { Missing } from './missing.mjs'
import { addon, freePort, type Locks, type TestServer } from './test-server.mjs'

const execute = promisify(execFile)

const DEBIAN = '/usr/lib/postgresql'

/** Where PostgreSQL's programs are. */
const bin = binaries()

function binaries(): string | undefined {
  const packaged = existsSync(DEBIAN) ? readdirSync(DEBIAN).toSorted((a, b) => +b - +a) : []
  const folders = [
    ...(process.env['PATH'] ?? '').split(delimiter),
    ...packaged.map((version) => `${DEBIAN}/${version}/bin`)
  ]
  return folders.find((folder) =>
    ['initdb', 'postgres', 'psql'].every((name) => existsSync(join(folder, name)))
  )
}

/** What is missing for a server and its roots, if something is. */
export const postgres: Missing = bin === undefined ? { program: 'PostgreSQL' } : addon

/** It refuses to run as the superuser. */
const asSuperuser = process.getuid?.() === 0

async function userId(name: string): Promise<number> {
  const { stdout } = await execute('id', ['-u', name])
  return Number(stdout)
}

/** A user that is not the superuser: PostgreSQL's own, or else nobody. */
async function otherUser(): Promise<number> {
  return userId('postgres').catch(() => userId('nobody'))
}

/** Whom the servers of tests run as, if not as this user. */
export const serverUser = async (): Promise<number | undefined> =>
  asSuperuser ? otherUser() : undefined

/** The command line that runs a program as another user if need be; it ends with this process where the system can do that. */
function line(uid: number | undefined, ...command: string[]): [string, string[]] {
  const ids = uid === undefined ? [] : [`--reuid=${uid}`, `--regid=${uid}`, '--clear-groups']
  const ends = process.platform === 'linux' ? ['--pdeathsig', 'QUIT'] : []
  if (ids.length + ends.length === 0) return [command[0]!, command.slice(1)]
  return ['setpriv', [...ids, ...ends, ...command]]
}

/** The role of the tests, its password and its database. */
export const ROLE = 'app'
export const PASSWORD = 'p@ss/word? 100%'

export class Server implements TestServer {
  readonly name = 'PostgreSQL'
  readonly folder: string
  readonly port: number
  readonly #uid: number | undefined
  #process: ChildProcess | undefined
  /** Everything that it has logged. */
  log = ''

  private constructor(folder: string, port: number, uid: number | undefined) {
    this.folder = folder
    this.port = port
    this.#uid = uid
  }

  /** @param settings lines for postgresql.conf */
  static async start(settings: string[] = []): Promise<Server> {
    const uid = await serverUser()
    const folder = await mkdtemp(join(tmpdir(), 'rl-pg-'))
    if (uid !== undefined) await chown(folder, uid, uid)
    await chmod(folder, 0o755)
    const server = new Server(folder, await freePort(), uid)
    try {
      await server.#initialise(settings)
      await server.begin()
      await server.sql(
        `CREATE ROLE ${ROLE} LOGIN PASSWORD '${PASSWORD}'; CREATE DATABASE ${ROLE} OWNER ${ROLE}`,
        'postgres'
      )
    } catch (error) {
      await server.remove()
      throw error
    }
    return server
  }

  get #data(): string {
    return join(this.folder, 'data')
  }

  async #initialise(settings: string[]): Promise<void> {
    const [command, args] = line(
      this.#uid,
      join(bin!, 'initdb'),
      `--pgdata=${this.#data}`,
      '--username=postgres',
      '--auth-local=trust',
      '--auth-host=scram-sha-256',
      '--no-sync',
      '--encoding=UTF8',
      '--locale=C'
    )
    await execute(command, args, { cwd: this.folder })
    const lines = [
      `port = ${this.port}`,
      `listen_addresses = '127.0.0.1'`,
      `unix_socket_directories = '${this.folder}'`,
      // The machine does not crash in a test, only the server.
      `fsync = off`,
      `max_connections = 200`,
      ...settings
    ]
    await appendFile(join(this.#data, 'postgresql.conf'), `\n${lines.join('\n')}\n`)
  }

  /** Starts it, or starts it again. */
  async begin(more: Record<string, string> = {}): Promise<void> {
    // By `env`, so that only the server has them, not what runs it as another user.
    const own = Object.entries(more).map(([name, value]) => `${name}=${value}`)
    const env = own.length > 0 ? ['env', ...own] : []
    const [command, args] = line(this.#uid, ...env, join(bin!, 'postgres'), '-D', this.#data)
    const started = spawn(command, args, { cwd: this.folder, stdio: ['ignore', 'ignore', 'pipe'] })
    this.#process = started
    const before = this.log.length
    started.stderr.setEncoding('utf8').on('data', (text: string) => (this.log += text))
    await eventually('the server starts', () => {
      if (started.exitCode !== null)
        throw new Error(`the server has ended: ${this.log.slice(before)}`)
      return this.log.slice(before).match(/is ready to accept (?:read-only )?connections/)
    })
  }

  /** A copy of it that follows, and may be promoted. */
  async standby(): Promise<Server> {
    const folder = await mkdtemp(join(tmpdir(), 'rl-pg-'))
    if (this.#uid !== undefined) await chown(folder, this.#uid, this.#uid)
    await chmod(folder, 0o755)
    const server = new Server(folder, await freePort(), this.#uid)
    const from = ['-h', this.folder, '-p', String(this.port), '-U', 'postgres']
    const copy = [
      join(bin!, 'pg_basebackup'),
      ...from,
      '-D',
      server.#data,
      '-R',
      '-c',
      'fast',
      '--no-sync'
    ]
    const [command, args] = line(this.#uid, ...copy)
    await execute(command, args, { cwd: folder })
    const lines = [`port = ${server.port}`, `unix_socket_directories = '${folder}'`]
    await appendFile(join(server.#data, 'postgresql.conf'), `\n${lines.join('\n')}\n`)
    await server.begin()
    return server
  }

  /** Puts a rule before all others in pg_hba.conf. */
  async allow(rule: string): Promise<void> {
    const file = join(this.#data, 'pg_hba.conf')
    await writeFile(file, `${rule}\n${await readFile(file, 'utf8')}`)
    await this.sql('SELECT pg_reload_conf()')
  }

  /** Stops it: `fast` ends all sessions in order, `immediate` is a crash. */
  async stop(how: 'fast' | 'immediate' = 'fast'): Promise<void> {
    const running = this.#process
    this.#process = undefined
    if (!running || running.exitCode !== null || running.signalCode !== null) return
    const ended = once(running, 'exit')
    running.kill(how === 'fast' ? 'SIGINT' : 'SIGQUIT')
    await inTime('the server stops', ended)
  }

  async restart(how: 'fast' | 'immediate' = 'fast'): Promise<void> {
    await this.stop(how)
    await this.begin()
  }

  async remove(): Promise<void> {
    await this.stop('immediate')
    await rm(this.folder, { recursive: true, force: true, maxRetries: 3 })
  }

  /** Answers a query as the superuser: a line for each row, its columns separated by `|`. */
  async sql(text: string, database = ROLE): Promise<string> {
    const args = [
      '--no-psqlrc',
      '--quiet',
      '--tuples-only',
      '--no-align',
      '--set',
      'ON_ERROR_STOP=1'
    ]
    const to = ['--host', this.folder, '--port', String(this.port), '--username', 'postgres']
    const { PGPASSWORD: _, ...env } = process.env
    const commands = text.split(';').flatMap((each) => ['--command', each.trim()])
    const { stdout } = await execute(
      join(bin!, 'psql'),
      [...args, ...to, '--dbname', database, ...commands],
      { env }
    )
    return stdout.trim()
  }

  /** A session of the tests' role that says nothing more after these statements, and is kept until it is ended. */
  async silentSession(text: string): Promise<() => void> {
    const to = ['--host', this.folder, '--port', String(this.port), '--username', ROLE]
    const env = { ...process.env, PGOPTIONS: '-c idle_session_timeout=0' }
    const session = spawn(join(bin!, 'psql'), ['--no-psqlrc', '--quiet', ...to], {
      env,
      stdio: ['pipe', 'pipe', 'inherit']
    })
    let said = ''
    session.stdout.setEncoding('utf8').on('data', (more: string) => (said += more))
    session.stdin.write(`${text};\n\\echo done\n`)
    await eventually('the session is silent', () => said.includes('done'))
    return () => void session.kill()
  }

  /** Of a root in the tests' database, on the port. */
  url(root?: string, { role = ROLE, password = PASSWORD, database = ROLE } = {}): string {
    const query = root === undefined ? '' : `?root=${root}`
    const user = `${role}:${encodeURIComponent(password)}`
    return `postgres://${user}@127.0.0.1:${this.port}/${database}${query}`
  }

  get ports(): number[] {
    return [this.port]
  }

  urlBy([port]: number[], url: string): string {
    return url.replace(`:${this.port}/`, `:${port}/`)
  }

  /** On the socket, where no password is needed. */
  socketUrl(root = 'store'): string {
    const host = encodeURIComponent(this.folder)
    return `postgres://${ROLE}@/${ROLE}?host=${host}&port=${this.port}&root=${root}`
  }

  async locks(): Promise<Locks> {
    const rows = await this.sql(
      "SELECT count(*) FILTER (WHERE granted), count(*) FILTER (WHERE NOT granted) FROM pg_locks WHERE locktype = 'advisory'"
    )
    const [held, waiting] = rows.split('|').map(Number)
    return { held: held!, waiting: waiting! }
  }

  /** Ends the sessions that hold a lock, as an administrator may. */
  async terminateHolders(): Promise<void> {
    await this.sql(
      "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND granted AND pid <> pg_backend_pid()"
    )
  }

  async disturb(): Promise<void> {
    await this.sql(
      "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'rootlock' ORDER BY random() LIMIT 1"
    )
  }
}
