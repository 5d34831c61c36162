// `npm run check -- pm2`: apps that the real pm2 starts, reloads, restarts, stops and kills, with a lock between them.

import assert from 'node:assert/strict'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import test, { before, type TestContext } from 'node:test'

import { npm as ask } from '../../scripts/npm.mjs'
import { checkout } from '../../scripts/pack.mjs'
import { eventually } from '../helpers/eventually.mjs'
import { published } from './published.mjs'
import { node, temporary, write } from './tools.mjs'

const npm = process.env['npm_execpath']!
const library = pathToFileURL(join(checkout, 'index.mjs')).href
const { inspect } = (await import(library)) as typeof import('../../index.mjs')

const PM2 = '7.0.4'

/** Holds the lock until it is told to end, and does at SIGINT as its first argument says. */
const holder = `
const { appendFileSync } = require('node:fs')
const { tryLock } = require('rootlock')

const [atInterrupt] = process.argv.slice(2)
const say = (what, more) => appendFileSync('said', JSON.stringify({ pid: process.pid, what, ...more }) + '\\n')

// A server keeps an app alive; here it is this.
setInterval(() => {}, 1e6)
const locked = tryLock('store', { onWait: (holder) => say('waiting', { of: holder.pid }) })
if (atInterrupt === 'ignore') process.on('SIGINT', () => say('interrupted'))
if (atInterrupt === 'unlock') {
  process.once('SIGINT', async () => {
    await (await locked)()
    say('unlocked')
    process.exit(0)
  })
}
locked.then(({ token, signal }) => {
  signal.addEventListener('abort', () => say('lost'))
  say('held', { token })
})
`

const INSTANCES = 4

/** Counts in a file when all instances are there; without a lock they would lose steps. */
const counter = `
const { appendFileSync, readFileSync, writeFileSync } = require('node:fs')
const { setTimeout: pause } = require('node:timers/promises')
const { withLock } = require('rootlock')

setInterval(() => {}, 1e6)
async function main() {
  appendFileSync('ready', '.')
  while (readFileSync('ready').length < ${INSTANCES}) await pause(1)
  for (let step = 0; step < 100; step++) {
    await withLock('store', async () => {
      const count = Number(readFileSync('count', 'utf8'))
      await new Promise((resolve) => setImmediate(resolve))
      writeFileSync('count', String(count + 1))
    })
  }
}
main()
`

interface Said {
  pid: number
  what: 'waiting' | 'held' | 'interrupted' | 'unlocked' | 'lost'
  of?: number
  token?: number
}

interface App {
  pid: number
  pm2_env: { status: string; exec_mode: string }
}

let folder: string

before(async () => {
  const upstream = await ask(['config', 'get', 'registry'], checkout)
  const { url } = await published(upstream.trim())
  folder = await temporary()
  const dependencies = { rootlock: '*', pm2: PM2 }
  await write(folder, {
    'package.json': { name: 'user', version: '1.0.0', private: true, dependencies },
    '.npmrc': `registry=${url}\n`
  })
  await node(folder, [npm, 'install', '--ignore-scripts'])
})

/** A pm2 of its own, with a lock. */
class Manager {
  readonly root: string

  private constructor(readonly home: string) {
    this.root = join(home, 'store')
  }

  static async start(t: TestContext): Promise<Manager> {
    const home = await temporary()
    await write(join(home, 'store'), {})
    await write(home, { 'holder.cjs': holder, 'counter.cjs': counter, count: '0', said: '' })
    const manager = new Manager(home)
    t.after(() => manager.pm2('kill'))
    return manager
  }

  pm2(...args: string[]): Promise<string> {
    const modules = join(folder, 'node_modules')
    return node(this.home, [join(modules, 'pm2', 'bin', 'pm2'), ...args], { NODE_PATH: modules })
  }

  async apps(): Promise<App[]> {
    const listed = await this.pm2('jlist', '--silent')
    return JSON.parse(listed) as App[]
  }

  async said(): Promise<Said[]> {
    const lines = await readFile(join(this.home, 'said'), 'utf8')
    return lines.split('\n').flatMap((line) => (line ? [JSON.parse(line) as Said] : []))
  }

  async count(): Promise<number> {
    return Number(await readFile(join(this.home, 'count'), 'utf8'))
  }

  /** The process that runs the apps. */
  async daemon(): Promise<number> {
    return Number(await readFile(join(this.home, '.pm2', 'pm2.pid'), 'utf8'))
  }
}

/** What one of its processes said, once it did. */
async function says(manager: Manager, what: Said['what'], of: (said: Said) => boolean) {
  const said = await eventually(`an app is ${what}`, async () =>
    (await manager.said()).findLast((each) => each.what === what && of(each))
  )
  return said!
}

for (const mode of ['fork', 'cluster']) {
  /** Starts an app of that mode. */
  async function begin(manager: Manager, name: string, atInterrupt = 'end'): Promise<void> {
    const how = { exec_mode: mode, instances: 1, kill_timeout: 500 }
    await write(manager.home, {
      'pm2.json': { name, script: 'holder.cjs', args: atInterrupt, ...how }
    })
    await manager.pm2('start', 'pm2.json')
  }

  test(`${mode} mode: restart, stop and delete hand the lock to the app that waits`, async (t) => {
    const manager = await Manager.start(t)
    await begin(manager, 'one')
    const first = await says(manager, 'held', () => true)
    await begin(manager, 'two', 'unlock')
    const second = await says(manager, 'waiting', ({ of }) => of === first.pid)
    assert.equal((await inspect(manager.root)).holder?.pid, first.pid)

    await manager.pm2('restart', 'one')
    const next = await says(manager, 'held', ({ pid }) => pid === second.pid)
    assert.ok(next.token! > first.token!)
    const restarted = await says(manager, 'waiting', ({ of }) => of === second.pid)

    await manager.pm2('stop', 'two')
    const last = await says(manager, 'held', ({ pid }) => pid === restarted.pid)
    assert.ok(last.token! > next.token!)
    await says(manager, 'unlocked', ({ pid }) => pid === second.pid)

    await manager.pm2('delete', 'one')
    await free(manager)
    assert.equal((await manager.said()).filter(({ what }) => what === 'lost').length, 0)
  })

  test(`${mode} mode: an app that pm2 has to kill, or that crashes, frees the lock`, async (t) => {
    const manager = await Manager.start(t)
    await begin(manager, 'one', 'ignore')
    const first = await says(manager, 'held', () => true)
    await manager.pm2('restart', 'one')
    assert.ok((await manager.said()).some(({ what }) => what === 'interrupted'))
    const second = await says(manager, 'held', ({ pid }) => pid !== first.pid)
    assert.ok(second.token! > first.token!)
    process.kill(second.pid, 'SIGKILL')
    const third = await says(manager, 'held', ({ token }) => token! > second.token!)
    assert.equal((await inspect(manager.root)).holder?.pid, third.pid)
    await manager.pm2('kill')
    await free(manager)
  })

  test(`${mode} mode: if pm2 itself is killed, its apps end, and the lock is free`, async (t) => {
    const manager = await Manager.start(t)
    await begin(manager, 'one', 'unlock')
    await says(manager, 'held', () => true)
    process.kill(await manager.daemon(), 'SIGKILL')
    await free(manager)
  })
}

/** Nobody has it, nobody waits, and nothing but the lock's own files is left. */
async function free({ root }: Manager): Promise<void> {
  await eventually('the lock is free', async () => (await inspect(root)).state === 'free')
  const { holders, waiters } = await inspect(root)
  assert.deepEqual({ holders, waiters }, { holders: [], waiters: [] })
  assert.deepEqual((await readdir(root)).toSorted(), ['.lock', '.lock.guard'])
}

test('cluster mode: a reload hands the lock to the new instances, one after the other', async (t) => {
  const manager = await Manager.start(t)
  await manager.pm2('start', 'holder.cjs', '-i', '2', '--', 'unlock')
  const old = await says(manager, 'held', () => true)
  const waiter = await says(manager, 'waiting', ({ of }) => of === old.pid)
  await manager.pm2('reload', 'holder')
  const fresh = await says(manager, 'held', ({ pid }) => ![old.pid, waiter.pid].includes(pid))
  assert.ok(fresh.token! > old.token!)
  const pids = new Set((await manager.apps()).map(({ pid }) => pid))
  assert.deepEqual(
    [fresh, old, waiter].map(({ pid }) => pids.has(pid)),
    [true, false, false]
  )
  assert.equal((await inspect(manager.root)).holder?.pid, fresh.pid)
  await manager.pm2('delete', 'holder')
  await free(manager)
})

for (const mode of ['fork', 'cluster']) {
  test(`${mode} mode: instances count without losing a step`, async (t) => {
    const manager = await Manager.start(t)
    const config = { name: 'counter', script: 'counter.cjs', exec_mode: mode, instances: INSTANCES }
    await write(manager.home, { 'pm2.json': config })
    await manager.pm2('start', 'pm2.json')
    await eventually('all have counted', async () => (await manager.count()) === INSTANCES * 100)
    const { length } = (await manager.apps()).filter(
      ({ pm2_env: { status } }) => status === 'online'
    )
    assert.equal(length, INSTANCES)
  })
}
