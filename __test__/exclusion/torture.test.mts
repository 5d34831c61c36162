// A short round of `npm run check -- torture`, and proof that it can fail. Longer ones: docs/reliability.md.

import { fileURLToPath } from 'node:url'

import test, { type ExecutionContext } from 'ava'

import { program } from '../helpers/child.mjs'
import { DEADLINE } from '../helpers/eventually.mjs'
import { needing, unix } from '../helpers/needing.mjs'

const MAIN = fileURLToPath(new URL('../torture/main.mjs', import.meta.url))

/** Runs it to its end; a failing test's log has its output. */
async function torture(t: ExecutionContext, ...args: string[]) {
  const run = program(t, process.execPath, [MAIN, ...args], 'pipe', {
    killSignal: 'SIGTERM'
  })
  const { code } = await run.ends(4 * DEADLINE)
  return { code, said: run.printed }
}

needing(test.serial, unix)('a round of every climate violates nothing', async (t) => {
  const { code, said } = await torture(t, '--seed', '1', '--rounds', '9', '--ms', '1500')
  t.is(code, 0, said)
  t.regex(said, /\n0 violations\n/)
  t.regex(said, /kill \d/)
  t.regex(said, /freeze \d/)
})

needing(test.serial, unix)('a naive lock is caught, with its story', async (t) => {
  const lock = ['--lock', 'naive', '--climate', 'frozen']
  const { code, said } = await torture(t, '--seed', '1', '--rounds', '20', ...lock)
  t.is(code, 1, said)
  t.regex(
    said,
    /Violated: (a live holder is not preempted|exclusion|a preempted holder is notified)\./
  )
  t.regex(said, /npm run check -- torture --seed 1 --round \d+ --climate frozen --lock naive\n/)
  t.regex(said, /\d ms {2}p\d\S* +granted /)
})

for (const [what, args] of Object.entries({
  'an unknown lock': ['--lock', 'none'],
  'an unknown climate': ['--climate', 'rainy'],
  'an invalid number': ['--minutes', 'soon'],
  'an unknown option': ['--speed', '9']
})) {
  needing(test, unix)(`${what} is refused with the usage`, async (t) => {
    const { code, said } = await torture(t, ...args)
    t.is(code, 2)
    t.regex(said, /usage: npm run check -- torture/)
  })
}
