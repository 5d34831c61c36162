import test, { type ExecutionContext } from 'ava'

import { fixture, program } from '../helpers/child.mjs'
import { hold } from '../helpers/locks.mjs'
import { quiet } from '../helpers/must-block.mjs'
import { needing, notWine } from '../helpers/needing.mjs'
import { temporaryRoot } from '../helpers/temporary-root.mjs'

/** A program that does one thing with a root, and that nothing else keeps alive. */
const lonely = (t: ExecutionContext, what: string, root: string) =>
  program(t, process.execPath, [fixture('lonely'), what, root])

const clean = { code: 0, signal: null }

for (const what of ['lock', 'reader', 'root', 'busy-heart', 'lock-of-root']) {
  test(`the process ends even if it has this open: ${what}`, async (t) => {
    const root = await temporaryRoot(t)
    const child = lonely(t, what, root)
    t.deepEqual(await child.ends(), clean)
    t.is(child.printed, 'open\n')
    await hold(t, root, { wait: false })
  })
}

test('a wait keeps the process alive', async (t) => {
  const root = await temporaryRoot(t)
  const unlock = await hold(t, root)
  const child = lonely(t, 'wait', root)
  await child.prints('waiting')
  await quiet()
  t.is(child.process.exitCode, null)
  t.is(child.printed, 'waiting\n')
  await unlock()
  t.deepEqual(await child.ends(), clean)
  t.is(child.printed, 'waiting\ngranted\n')
})

test('the process ends after its wait was aborted', async (t) => {
  const root = await temporaryRoot(t)
  await hold(t, root)
  const child = lonely(t, 'abort', root)
  t.deepEqual(await child.ends(), clean)
  t.is(child.printed, 'TimeoutError\n')
})

test('a request keeps the process alive until its answer', async (t) => {
  const root = await temporaryRoot(t)
  await hold(t, root)
  for (const [what, answer] of [
    ['inspect', 'exclusive'],
    ['once', 'ERR_LOCK_UNSUCCESSFUL'],
    ['open-root', 'opened'],
    ['nowhere', 'ERR_LOCK_UNSUCCESSFUL']
  ] as const) {
    const child = lonely(t, what, root)
    t.deepEqual(await child.ends(), clean, what)
    t.is(child.printed, `${answer}\n`)
  }
})

test('process.exit does not wait for waiters', async (t) => {
  const root = await temporaryRoot(t)
  await hold(t, root)
  const child = lonely(t, 'exit', root)
  t.deepEqual(await child.ends(), { code: 7, signal: null })
})

needing(test, notWine)(
  'a program with no logger prints nothing, whatever happens to its lock',
  async (t) => {
    const root = await temporaryRoot(t)
    const child = lonely(t, 'lost', root)
    t.deepEqual(await child.ends(), clean)
    t.is(child.printed, '')
    await hold(t, root, { wait: false })
  }
)
