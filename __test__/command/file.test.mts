import { mkdir, readdir, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

import test from 'ava'
import { file, tryLock } from 'rootlock'

import { command, node, rootlock, run, untilTold } from '../helpers/command.mjs'
import { needing, unix } from '../helpers/needing.mjs'
import { temporaryRoot } from '../helpers/temporary-root.mjs'

test('run --file holds the lock of a file, which status and doctor show', async (t) => {
  const root = await temporaryRoot(t)
  const path = join(root, 'data.json')
  await writeFile(path, '{}')
  const running = command(t, 'run', '--file', path, '--', ...untilTold)
  await running.prints('ready')
  await t.throwsAsync(tryLock(file(path), { wait: false }), { message: /^store is locked by pid/ })
  t.regex((await run(t, 'status', '--file', path)).out, /data\.json\.lock\n.*held by a writer/)
  t.regex((await run(t, 'status', root)).out, /free/)
  t.regex((await run(t, 'doctor', '--file', path)).out, /holds the lock/)
  const second = await run(t, 'run', '-n', '--file', path, '--', ...node('0'))
  t.is(second.code, 75)
  t.true(second.err.endsWith(`rootlock status --file ${path}\n`), second.err)
  running.kill('SIGTERM')
  const { code } = await running.ends()
  // Windows has no signals: it ends the command, which can't pass one on.
  t.is(code, process.platform === 'win32' ? null : 0)
  const names = ['data.json', 'data.json.lock', 'data.json.lock.guard']
  t.deepEqual((await readdir(root)).toSorted(), names)
})

needing(test, unix)('run --file meets itself by another name, and refuses to wait', async (t) => {
  const root = await temporaryRoot(t)
  await symlink('data.json', join(root, 'link'))
  const inner = ['run', '--file', join(root, 'link'), '--', ...node('0')]
  const script = `
    const { spawnSync } = require('node:child_process')
    const { status, stderr } = spawnSync(process.argv[1], process.argv.slice(2))
    console.log(status, String(stderr))`
  const line = [...node(script), ...rootlock(...inner)]
  const { out } = await run(t, 'run', '--file', join(root, 'data.json'), '--', ...line)
  t.regex(out, /^64 rootlock: .* enclosing rootlock run/)
})

test('a path that is no file is said to be none', async (t) => {
  const root = await temporaryRoot(t)
  await mkdir(join(root, 'directory'))
  const directory = await run(t, 'run', '--file', join(root, 'directory'), '--', ...node('0'))
  t.is(directory.code, 69)
  t.regex(directory.err, /^rootlock: .*EISDIR.*\n  Leave --file out: /)
  const missing = await run(t, 'status', '--file', join(root, 'missing', 'x'))
  t.is(missing.code, 69)
  t.regex(missing.err, /^rootlock: .*ENOENT.*\n  Check the path/)
})
