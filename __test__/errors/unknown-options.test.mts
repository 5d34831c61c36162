import { readdir } from 'node:fs/promises'

import test from 'ava'
import {
  inspect,
  inspectSync,
  tryLock,
  tryLockSync,
  tryRLock,
  tryRLockSync,
  withLock
} from 'rootlock'

import { temporaryRoot } from '../helpers/temporary-root.mjs'

const VALUE = 'ERR_INVALID_ARG_VALUE'

/** What people write, and what the error says to use. */
const unknown: [options: object, use: RegExp][] = [
  [{ timeout: 10 }, /: use 'options\.timeoutMs'\. Received 10$/],
  [{ timeoutMS: 10 }, /: use 'options\.timeoutMs'\./],
  [{ retries: { retries: 5 } }, /: use 'options\.timeoutMs'.*\. Received \{ retries: 5 \}$/],
  [{ retryWait: 100 }, /: use 'options\.timeoutMs'/],
  [{ stale: 5_000 }, /: use 'options\.staleMs'\./],
  [{ update: 1_000 }, /: use 'options\.heartbeatMs'\./],
  [{ heartbeat: 1_000 }, /: use 'options\.heartbeatMs'\./],
  [{ realpath: false }, /: use 'file\(path\)'/],
  [{ lockfilePath: 'x' }, /: use 'options\.fileName'\./],
  [{ filename: 'x' }, /: use 'options\.fileName'\./],
  [{ onCompromised: () => {} }, /: use 'unlock\.signal'\./],
  [{ abortSignal: 1 }, /is not an option\. Received 1$/],
  [{ constructor: 1 }, /is not an option\. Received 1$/],
  [{ ['__proto__']: 1 }, /is not an option\. Received 1$/]
]

const not = (message: RegExp) => ({ instanceOf: TypeError, code: VALUE, message })

for (const [options, use] of unknown) {
  const [name] = Object.keys(options)
  test(`an option ${name} is refused by all, and nothing is touched`, async (t) => {
    const root = await temporaryRoot(t)
    const expected = not(use)
    for (const call of [tryLock, tryRLock, inspect]) {
      const error = await t.throwsAsync(call(root, options), expected)
      t.true(error.message.startsWith(`The property 'options.${name}' is not an option`))
    }
    await t.throwsAsync(
      withLock(root, () => t.fail(), options),
      expected
    )
    for (const call of [tryLockSync, tryRLockSync, inspectSync]) {
      t.throws(() => void call(root, options), expected)
    }
    t.deepEqual(await readdir(root), [])
  })
}

test('an option of another function is refused where it would be misunderstood', async (t) => {
  const root = await temporaryRoot(t)
  const shared = { shared: true } as object
  for (const take of [tryLock, tryRLock]) {
    await t.throwsAsync(take(root, shared), not(/'options\.shared' .*: use 'tryRLock'\./))
  }
  for (const take of [tryLockSync, tryRLockSync]) {
    t.throws(() => take(root, shared), not(/'options\.shared' .*: use 'tryRLockSync'\./))
    const wait = { wait: false } as object
    t.throws(() => take(root, wait), not(/'options\.wait' .*: use 'options\.timeoutMs'\./))
  }
})

test('one object of options serves locks and inspect, and undefined is nothing', async (t) => {
  const root = await temporaryRoot(t)
  const options = { fileName: 'one', heartbeatMs: 1_000, staleMs: 3_000, timeoutMs: 0 }
  const unlock = await tryLock(root, { ...options, timeout: undefined } as object)
  t.is((await inspect(root, options)).state, 'exclusive')
  t.is(inspectSync(root, options).state, 'exclusive')
  t.throws(() => tryLockSync(root, options), { code: 'ERR_LOCK_UNSUCCESSFUL' })
  await unlock()
  const inherited = Object.create({ timeout: 10 }) as object
  await (
    await tryLock(root, inherited)
  )()
})
