import { exec, execFileSync, fork, spawn } from 'node:child_process'
import { text } from 'node:stream/consumers'
import { promisify } from 'node:util'

import test, { type ExecutionContext } from 'ava'
import { openRoot } from 'rootlock'

import { fixture } from '../helpers/child.mjs'
import { inTime } from '../helpers/eventually.mjs'
import { hold, waiter } from '../helpers/locks.mjs'
import { mustBlock } from '../helpers/must-block.mjs'
import { linux, needing } from '../helpers/needing.mjs'
import { openFiles } from '../helpers/open-files.mjs'
import { temporaryRoot } from '../helpers/temporary-root.mjs'

const LIST = 'ls -l /proc/self/fd'

/** Every way in which Node starts a child; each returns what the child has open. */
const ways: Record<string, () => Promise<string>> = {
  spawn: () => text(spawn('sh', ['-c', LIST]).stdout),
  'spawn with inherited streams': () =>
    text(spawn('sh', ['-c', LIST], { stdio: ['inherit', 'pipe', 'inherit'] }).stdout),
  fork: () => text(fork(fixture('descriptors'), { stdio: 'pipe' }).stdout!),
  exec: async () => (await promisify(exec)(LIST)).stdout,
  execFileSync: async () => execFileSync('sh', ['-c', LIST], { encoding: 'utf8' })
}

/** A process that has every kind of descriptor open. */
async function busy(t: ExecutionContext): Promise<string> {
  const root = await temporaryRoot(t)
  const opened = await openRoot(root)
  t.teardown(() => opened.close())
  await hold(t, opened)
  await hold(t, root, { fileName: 'other' })
  await mustBlock(waiter(t, root).lock)
  await mustBlock(waiter(t, opened, { fileName: 'other' }).lock)
  return root
}

for (const [way, start] of Object.entries(ways)) {
  needing(test, linux)(`a child inherits no descriptor: ${way}`, async (t) => {
    const root = await busy(t)
    const own = openFiles().filter(([, path]) => path.startsWith(root))
    t.true(own.length >= 4, 'there is something to inherit')
    const listed = await inTime('the child tells', start())
    t.regex(listed, /0 .*\/dev\/null|pipe:|socket:/, 'the child really told')
    t.false(listed.includes(root), listed)
  })
}
