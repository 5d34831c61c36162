// The command as people start it in a project: by npx, by npm's scripts, by node --run.

import { chmod, copyFile, mkdir, realpath, symlink, writeFile } from 'node:fs/promises'
import { once } from 'node:events'
import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'

import test, { type ExecutionContext } from 'ava'
import { inspect } from 'rootlock'

import { program, type Child } from '../helpers/child.mjs'
import { eventually, inTime } from '../helpers/eventually.mjs'
import { hold, waiter } from '../helpers/locks.mjs'
import { mustBlock } from '../helpers/must-block.mjs'
import { needing, tool, unix, type Missing } from '../helpers/needing.mjs'
import { home } from '../helpers/restricted.mjs'
import { temporaryRoot } from '../helpers/temporary-root.mjs'

/** Ends when its standard input does. */
const WORK = `
process.stdin.on('end', () => process.exit(5)).resume()
console.log('working')
`

/** Ends by SIGTERM, or when it finds a file; leaves another one. */
const LONG_WORK = `
const { existsSync, writeFileSync } = require('node:fs')
process.on('exit', () => writeFileSync('ended', ''))
process.on('SIGTERM', () => process.exit())
// Or when the project is gone, lest it outlive a test that fails.
setInterval(() => (existsSync('enough') || !existsSync('work.js')) && process.exit(), 10)
console.log('working')
`

/** Scripts of the project, which start the command by its name. */
const scripts = {
  work: 'rootlock run store -- node work.js',
  long: 'rootlock run store -- node long-work.js',
  again: 'rootlock run --no-wait store -- node work.js',
  look: 'rootlock status --json store'
}

/** A project with the package installed, its command in node_modules/.bin, and a directory to lock. */
async function project(t: ExecutionContext): Promise<{ folder: string; root: string }> {
  const folder = await realpath(await temporaryRoot(t))
  const installed = join(folder, 'node_modules', 'rootlock')
  const bin = join(folder, 'node_modules', '.bin')
  const root = join(folder, 'store')
  for (const made of [installed, bin, root]) await mkdir(made, { recursive: true })
  for (const name of ['package.json', 'index.js', 'index.mjs', 'cli.js']) {
    await copyFile(join(home, name), join(installed, name))
  }
  for (const name of readdirSync(home).filter((each) => /^rootlock\..*\.node$/.test(each))) {
    await symlink(join(home, name), join(installed, name))
  }
  // As npm does.
  await chmod(join(installed, 'cli.js'), 0o755)
  await symlink('../rootlock/cli.js', join(bin, 'rootlock'))
  await writeFile(join(folder, 'work.js'), WORK)
  await writeFile(join(folder, 'long-work.js'), LONG_WORK)
  await writeFile(join(folder, 'package.json'), JSON.stringify({ name: 'project', scripts }))
  return { folder, root }
}

interface Launcher {
  name: string
  missing: Missing[]
  /** What it makes of an exit code that is not zero. */
  returned: (code: number) => number
  line(script: keyof typeof scripts): string[]
}

const words = (script: keyof typeof scripts) => scripts[script].split(' ')

const npm = tool('npm', '--version')

const same = (code: number) => code

const LAUNCHERS: Launcher[] = [
  // Asks no registry.
  {
    name: 'npx',
    missing: [tool('npx', '--version')],
    returned: same,
    line: (of) => ['npx', '--no', ...words(of)]
  },
  {
    name: 'npm exec',
    missing: [npm],
    returned: same,
    line: (of) => ['npm', 'exec', '--no', '--', ...words(of)]
  },
  {
    name: 'npm run',
    missing: [npm],
    returned: same,
    line: (of) => ['npm', 'run', '--silent', of]
  },
  {
    name: 'node --run',
    missing: [Number.parseInt(process.versions.node) < 22 && 'a Node with --run'],
    returned: () => 1,
    line: (of) => [process.execPath, '--run', of]
  }
]

for (const { name, missing, returned, line } of LAUNCHERS) {
  const launched = needing(test, unix, ...missing)

  const start = (t: ExecutionContext, cwd: string, script: keyof typeof scripts): Child => {
    const [command, ...args] = line(script)
    const quiet = { npm_config_update_notifier: 'false', npm_config_offline: 'true' }
    // SIGTERM, because what it has started would outlive it.
    return program(t, command!, args, 'pipe', {
      cwd,
      env: { ...process.env, ...quiet },
      killSignal: 'SIGTERM'
    })
  }

  launched(
    `${name}: the lock is held while the command runs, and its exit code returned`,
    async (t) => {
      const { folder, root } = await project(t)
      const first = start(t, folder, 'work')
      await first.prints('working')
      const seen = await inspect(root)
      t.is(seen.state, 'exclusive')
      const { lock } = waiter(t, root)
      await mustBlock(lock)
      const refused = start(t, folder, 'again')
      t.is((await refused.ends()).code, returned(75))
      t.regex(refused.printed, /rootlock: store is locked by pid \d+/)
      first.process.stdin!.end()
      t.is((await first.ends()).code, returned(5))
      await t.notThrowsAsync(inTime('it is free', lock))
    }
  )

  launched(`${name}: the command waits for the lock of another program`, async (t) => {
    const { folder, root } = await project(t)
    const unlock = await hold(t, root)
    const next = start(t, folder, 'work')
    await eventually('it waits', async () => (await inspect(root)).waiters?.length === 1)
    t.notRegex(next.printed, /working/)
    const look = start(t, folder, 'look')
    t.is((await look.ends()).code, 0)
    t.like(JSON.parse(look.printed.slice(look.printed.indexOf('{'))), {
      state: 'exclusive',
      holder: { pid: process.pid }
    })
    await unlock()
    await next.prints('working')
    next.process.stdin!.end()
    t.is((await next.ends()).code, returned(5))
  })

  launched(
    `${name}: SIGTERM may end only the launcher, but the lock is held until the command ends`,
    async (t) => {
      const { folder, root } = await project(t)
      const first = start(t, folder, 'long')
      await first.prints('working')
      const { lock } = waiter(t, root)
      await mustBlock(lock)
      const exits = once(first.process, 'exit')
      first.kill('SIGTERM')
      // npm signals the shell that it has started, and Node ends; some shells become the command.
      await inTime('the launcher ends', exits)
      await writeFile(join(folder, 'enough'), '')
      await inTime('the lock is free', lock)
      t.true(existsSync(join(folder, 'ended')))
      await first.ends()
    }
  )
}
