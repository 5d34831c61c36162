// `rootlock run` inside `rootlock run`: a run that would wait for itself is refused.

import { mkdir, symlink } from 'node:fs/promises'
import { join } from 'node:path'

import test from 'ava'

import { command, rootlock, run } from '../helpers/command.mjs'
import { hold } from '../helpers/locks.mjs'
import { linux, namespaces, needing, superuser, unix } from '../helpers/needing.mjs'
import { temporaryRoot } from '../helpers/temporary-root.mjs'

const onUnix = needing(test, unix)
const inNamespace = needing(test, linux, superuser, namespaces)

const node = (script: string) => [process.execPath, '-e', script]

test('a run inside a run of the same lock is refused at once, not silent forever', async (t) => {
  const root = await temporaryRoot(t)
  for (const [outer, inner] of [
    [[], []],
    [[], ['-s']],
    [['-s'], []],
    [['--close'], ['--wait', '600']]
  ] as string[][][]) {
    const line = rootlock('run', ...inner!, root, '--', ...node('console.log("never")'))
    const { code, out, err } = await run(t, 'run', ...outer!, root, '--', ...line)
    t.is(code, 64, `${outer} ${inner}`)
    t.is(out, '')
    t.regex(err, /^rootlock: .* by the enclosing rootlock run \(pid \d+\).*\n  \S/)
  }
})

onUnix(
  'a nested run is refused by another path to the directory, and through a run of another lock',
  async (t) => {
    const root = await temporaryRoot(t)
    const between = join(root, 'between')
    await mkdir(between)
    await symlink('..', join(between, 'link'))
    const inner = rootlock('run', join(between, 'link'), '--', 'true')
    const middle = rootlock('run', between, '--', ...inner)
    const { code, err } = await run(t, 'run', root, '--', ...middle)
    t.is(code, 64)
    t.regex(err, /it would wait for itself/)
  }
)

inNamespace(
  'a nested run is refused in a PID namespace of its own, where the outer run has no pid',
  async (t) => {
    const root = await temporaryRoot(t)
    const apart = ['unshare', '--fork', '--pid', '--mount-proc', '--kill-child']
    for (const outer of [[], ['-s']]) {
      const inner = rootlock('run', root, '--', ...node('console.log("never")'))
      const { code, out, err } = await run(t, 'run', ...outer, root, '--', ...apart, ...inner)
      t.is(code, 64, err)
      t.is(out, '')
      t.regex(err, /it would wait for itself/)
    }
  }
)

test('a run inside a run proceeds where it can', async (t) => {
  const root = await temporaryRoot(t)
  const below = join(root, 'below')
  await mkdir(below)
  const works = node('console.log("works")')
  for (const [outer, inner] of [
    [
      ['-s', root],
      ['-s', root]
    ],
    [[root], ['--file-name', 'other.lock', root]],
    [['--file-name', 'other.lock', root], [root]],
    [[root], [below]]
  ] as string[][][]) {
    const line = rootlock('run', ...inner!, '--', ...works)
    const { code, out } = await run(t, 'run', ...outer!, '--', ...line)
    t.deepEqual([code, out], [0, 'works\n'], `${outer} ${inner}`)
  }
})

test('a nested run with --no-wait fails because the lock is held', async (t) => {
  const root = await temporaryRoot(t)
  const inner = rootlock('run', '-n', root, '--', ...node('0'))
  const { code, err } = await run(t, 'run', root, '--', ...inner)
  t.is(code, 75)
  t.regex(err, /^rootlock: store is locked by pid \d+/)
})

test('an environment left by a run that is over, or forged, refuses nothing', async (t) => {
  const root = await temporaryRoot(t)
  const { out } = await run(t, 'run', root, '--', ...node('console.log(process.env.ROOTLOCK_HELD)'))
  t.is((JSON.parse(out) as unknown[]).length, 1)
  // The pid lives, the grant is over.
  const old = (JSON.parse(out) as object[]).map((held) => ({ ...held, pid: process.pid }))
  for (const held of [out, JSON.stringify(old), 'nonsense', '{}', '[null, 1, {"dev": 1}]', '']) {
    const waits = command(t, 'run', root, '--', ...node('console.log("works")'))
    t.is((await waits.ends()).code, 0)
    const unlock = await hold(t, root)
    process.env['ROOTLOCK_HELD'] = held
    const later = command(t, 'run', root, '--', ...node('console.log("works")'))
    delete process.env['ROOTLOCK_HELD']
    await later.prints('waiting for')
    await unlock()
    t.is((await later.ends()).code, 0, held)
  }
})
