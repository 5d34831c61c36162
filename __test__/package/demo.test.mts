import { readdir } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'

import test, { type ExecutionContext } from 'ava'

import { program, type Child } from '../helpers/child.mjs'
import { DEADLINE } from '../helpers/eventually.mjs'
import { needing, notWine, unix } from '../helpers/needing.mjs'
import { temporaryRoot } from '../helpers/temporary-root.mjs'

const MAIN = fileURLToPath(new URL('../../demo/main.mjs', import.meta.url))

test('the demo proves every claim that it makes, and leaves nothing behind', async (t) => {
  const { demo, temporary } = await begin(t)
  const { code } = await demo.ends(4 * DEADLINE)
  const { printed } = demo
  const claims = printed.split('\n').filter((line) => /^[✔✘]/.test(line))
  t.true(claims.length >= 8, printed)
  t.deepEqual([code, claims.filter((line) => line.startsWith('✘'))], [0, []], printed)
  t.deepEqual(await readdir(temporary), [])
})

needing(
  test,
  unix,
  notWine
)(
  'an interrupted demo leaves no process behind, not even the frozen one, and no file',
  async (t) => {
    const { demo, temporary } = await begin(t)
    await demo.prints('SIGSTOP')
    demo.kill('SIGINT')
    // It ends when all processes have closed its streams, which the tellers inherit.
    const { code } = await demo.ends(4 * DEADLINE)
    t.is(code, 130, demo.printed)
    t.deepEqual(await readdir(temporary), [])
  }
)

/** The demo, with a directory for temporary files of its own. */
async function begin(t: ExecutionContext): Promise<{ demo: Child; temporary: string }> {
  const temporary = await temporaryRoot(t)
  const env = { ...process.env, TMPDIR: temporary, TEMP: temporary, TMP: temporary }
  const demo = program(t, process.execPath, [MAIN], 'pipe', { env, killSignal: 'SIGINT' })
  return { demo, temporary }
}
