// A real etcd cluster of a test's own, on ports of this machine.

import { execFile, spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { promisify } from 'node:util'

import type { ExecutionContext } from 'ava'

import { eventually, inTime } from './eventually.mjs'
import { tool, type Missing } from './missing.mjs'
import { addon, freePort, type Locks, type TestServer } from './test-server.mjs'

const execute = promisify(execFile)

const home = dirname(createRequire(import.meta.url).resolve('rootlock/package.json'))

const program = join(home, 'target', 'etcd', 'etcd')

/** What is missing for a cluster and its roots, if something is. */
export const etcd: Missing =
  // Distributions have versions that are too old: a reason to skip, not something to install.
  tool('go', 'version') !== false ? 'Go' : addon

/** Builds the server from Go's modules. That it is up to date is found in a moment. */
async function build(): Promise<void> {
  const cwd = join(home, '__test__', 'remote', 'etcd')
  await execute('go', ['build', '-o', program, '.'], { cwd })
}

/** A key, as etcd's JSON has it. */
interface KeyValue {
  key: string
  lease?: string
  create_revision: string
}

export class Cluster implements TestServer {
  readonly name = 'etcd'
  readonly folder: string
  readonly members: Member[]

  private constructor(folder: string, members: Member[]) {
    this.folder = folder
    this.members = members
  }

  static async start(size = 1, more: string[] = []): Promise<Cluster> {
    await build()
    const folder = await mkdtemp(join(tmpdir(), 'rl-etcd-'))
    const ports = await Promise.all(Array.from({ length: size }, () => [freePort(), freePort()]))
    const members: Member[] = []
    for (const [client, peer] of ports) {
      members.push(new Member(folder, members, await client!, await peer!, more))
    }
    const cluster = new Cluster(folder, members)
    await cluster.begin('new')
    return cluster
  }

  /** One member whose clients must encrypt; whether it answers only they can find out. */
  static async startEncrypted(more: string[]): Promise<Cluster> {
    await build()
    const folder = await mkdtemp(join(tmpdir(), 'rl-etcd-'))
    const members: Member[] = []
    members.push(new Member(folder, members, await freePort(), await freePort(), more, 'https'))
    members[0]!.begin('new')
    return new Cluster(folder, members)
  }

  /** Starts all members, or starts them again. */
  async begin(state: 'new' | 'existing' = 'existing'): Promise<void> {
    for (const member of this.members) member.begin(state)
    for (const member of this.members) await member.isUp()
  }

  async stop(how: 'fast' | 'immediate' = 'fast'): Promise<void> {
    for (const member of this.members) await member.stop(how)
  }

  async restart(how: 'fast' | 'immediate' = 'fast'): Promise<void> {
    await this.stop(how)
    await this.begin()
  }

  async remove(): Promise<void> {
    await this.stop('immediate')
    await rm(this.folder, { recursive: true, force: true, maxRetries: 3 })
  }

  url(root = 'store'): string {
    const hosts = this.members.map(({ client }) => `127.0.0.1:${client}`).join(',')
    return `etcd://${hosts}/${root}`
  }

  get ports(): number[] {
    return this.members.map(({ client }) => client)
  }

  urlBy(ports: number[], url: string): string {
    return this.ports.reduce((by, port, index) => by.replace(`:${port}`, `:${ports[index]}`), url)
  }

  /** Calls the first member that answers, by the gateway that speaks JSON. */
  async call<T>(path: string, body: object, token?: string): Promise<T> {
    for (const member of this.members) {
      try {
        return await member.call<T>(path, body, token)
      } catch {
        // The next one.
      }
    }
    throw new Error(`no member answers ${path}`)
  }

  /** All keys. */
  async keys(): Promise<(KeyValue & { name: string })[]> {
    const all = { key: base64('\0'), range_end: base64('\0') }
    const { kvs = [] } = await this.call<{ kvs?: KeyValue[] }>('kv/range', all)
    return kvs.map((kv) => ({ ...kv, name: Buffer.from(kv.key, 'base64').toString() }))
  }

  async locks(): Promise<Locks> {
    const lines = new Map<string, string[]>()
    const keys = await this.keys()
    for (const { name } of keys.toSorted((a, b) => +a.create_revision - +b.create_revision)) {
      const [, lock, mode] = /^(.*\/lock\/.*)\/([xs])\/[^/]*$/.exec(name) ?? []
      if (lock !== undefined) lines.set(lock, [...(lines.get(lock) ?? []), mode!])
    }
    let [held, waiting] = [0, 0]
    for (const line of lines.values()) {
      const writer = line.indexOf('x')
      const holding = writer === 0 ? 1 : writer < 0 ? line.length : writer
      held += holding
      waiting += line.length - holding
    }
    return { held, waiting }
  }

  /** Ends the leases of those who hold a lock or wait for one, as an administrator may. */
  async terminateHolders(): Promise<void> {
    const leases = new Set((await this.keys()).flatMap(({ lease }) => lease ?? []))
    for (const ID of leases) await this.call('lease/revoke', { ID }).catch(() => {})
  }

  /** Stops a member for a moment. (What an administrator deletes, its holder hears of a moment later.) */
  async disturb(): Promise<void> {
    const member = this.members[Math.floor(Math.random() * this.members.length)]!
    member.kill('SIGSTOP')
    await pause(300)
    member.kill('SIGCONT')
  }
}

/** A cluster of a test's own. */
export async function ownCluster(
  t: ExecutionContext,
  ...args: Parameters<typeof Cluster.start>
): Promise<Cluster> {
  const started = await Cluster.start(...args)
  t.teardown(() => started.remove())
  return started
}

/** What a member says that is up, where there are users. */
const asksForAUser = ({ message }: Error) => message.includes('user name is empty')

/** A member of a cluster. */
export class Member {
  readonly client: number
  readonly #folder: string
  readonly #all: Member[]
  readonly #peer: number
  readonly #more: string[]
  readonly #scheme: string
  readonly #name: string
  #process: ChildProcess | undefined
  /** Everything that it has logged. */
  log = ''

  constructor(
    folder: string,
    all: Member[],
    client: number,
    peer: number,
    more: string[],
    scheme = 'http'
  ) {
    this.#scheme = scheme
    this.client = client
    this.#folder = folder
    this.#all = all
    this.#peer = peer
    this.#more = more
    this.#name = `m${all.length}`
  }

  get #peerUrl(): string {
    return `http://127.0.0.1:${this.#peer}`
  }

  get data(): string {
    return join(this.#folder, this.#name)
  }

  /** Starts it, or starts it again. */
  begin(state: 'new' | 'existing' = 'existing'): void {
    const client = `${this.#scheme}://127.0.0.1:${this.client}`
    const cluster = this.#all.map((member) => `${member.#name}=${member.#peerUrl}`).join(',')
    const flags = {
      name: this.#name,
      'data-dir': this.data,
      'log-level': 'error',
      'listen-client-urls': client,
      'advertise-client-urls': client,
      'listen-peer-urls': this.#peerUrl,
      'initial-advertise-peer-urls': this.#peerUrl,
      'initial-cluster': cluster,
      'initial-cluster-state': state
    }
    const args = Object.entries(flags).flatMap(([name, value]) => [`--${name}`, value])
    // The machine does not crash in a test, only the server.
    args.push('--unsafe-no-fsync', ...this.#more)
    const started = spawn(program, args, { stdio: ['ignore', 'ignore', 'pipe'] })
    this.#process = started
    started.stderr.setEncoding('utf8').on('data', (text: string) => (this.log += text))
  }

  async isUp(): Promise<void> {
    await eventually('the member answers', async () => {
      if (this.#process?.exitCode !== null) throw new Error(`it has ended: ${this.log}`)
      return this.call('kv/range', { key: base64('up') }).catch(asksForAUser)
    })
  }

  /** Puts a snapshot in the place of its data, as another cluster's. */
  async restore(snapshot: string): Promise<void> {
    await rm(this.data, { recursive: true })
    await execute(program, ['restore', snapshot, `${this.#name}=${this.#peerUrl}`, this.data])
  }

  async isLeader(): Promise<boolean> {
    type Status = { header: { member_id: string }; leader: string }
    const { header, leader } = await this.call<Status>('maintenance/status', {})
    return header.member_id === leader
  }

  kill(signal: NodeJS.Signals): void {
    this.#process?.kill(signal)
  }

  async stop(how: 'fast' | 'immediate' = 'fast'): Promise<void> {
    const running = this.#process
    this.#process = undefined
    if (!running || running.exitCode !== null || running.signalCode !== null) return
    const ended = once(running, 'exit')
    if (how === 'fast') {
      running.kill('SIGTERM')
      // It would wait for seconds for its clients to go.
      await Promise.race([ended, pause(300)])
    }
    running.kill('SIGKILL')
    await inTime('the member stops', ended)
  }

  /** @param token a user's, where there are users */
  async call<T>(path: string, body: object, token?: string): Promise<T> {
    const answer = await fetch(`http://127.0.0.1:${this.client}/v3/${path}`, {
      method: 'POST',
      headers: token === undefined ? {} : { authorization: token },
      body: JSON.stringify(body),
      signal: AbortSignal.timeout(2_000)
    })
    if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`)
    return (await answer.json()) as T
  }
}

export const base64 = (text: string) => Buffer.from(text).toString('base64')
