import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { readdir } from 'node:fs/promises'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'

import test, { type ExecutionContext } from 'ava'

import { eventually } from '../helpers/eventually.mjs'
import { needing, notWine, unix } from '../helpers/needing.mjs'
import { temporaryRoot } from '../helpers/temporary-root.mjs'

const program = fileURLToPath(new URL('../../demo/main.mjs', import.meta.url))

test('the demo proves every claim that it makes, and leaves nothing behind', async (t) => {
  const { demo, temporary } = await begin(t)
  const [printed, [code]] = await Promise.all([text(demo.stdout!), once(demo, 'close')])
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
  'an interrupted demo leaves no process behind, not the frozen one either, and no file',
  async (t) => {
    const { demo, temporary } = await begin(t)
    let printed = ''
    demo.stdout!.setEncoding('utf8').on('data', (chunk: string) => (printed += chunk))
    await eventually('somebody is frozen', () => {
      if (demo.exitCode !== null) throw new Error(`the demo ended: ${printed}`)
      return printed.includes('SIGSTOP')
    })
    demo.kill('SIGINT')
    // `close` comes when stderr is closed by all who have it: the tellers inherit it.
    const [code] = await once(demo, 'close')
    t.is(code, 130, printed)
    t.deepEqual(await readdir(temporary), [])
  }
)

/** The demo, with a directory for temporary files of its own. */
async function begin(t: ExecutionContext): Promise<{ demo: ChildProcess; temporary: string }> {
  const temporary = await temporaryRoot(t)
  const env = { ...process.env, TMPDIR: temporary, TEMP: temporary, TMP: temporary }
  const demo = spawn(process.execPath, [program], { env, stdio: ['ignore', 'pipe', 'pipe'] })
  demo.stderr.pipe(process.stderr)
  t.teardown(() => demo.kill('SIGINT'))
  return { demo, temporary }
}
