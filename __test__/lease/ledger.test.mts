import { execFileSync } from 'node:child_process'
import { readFile, stat, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

import test, { type ExecutionContext } from 'ava'
import { inspect, tryLock, tryRLock } from 'rootlock'

import { child } from '../helpers/child.mjs'
import { inTime } from '../helpers/eventually.mjs'
import { hold, QUICK } from '../helpers/locks.mjs'
import { needing, tool, unix } from '../helpers/needing.mjs'
import { temporaryRoot } from '../helpers/temporary-root.mjs'

/** A root whose ledger records some grants. */
async function written(
  t: ExecutionContext
): Promise<{ root: string; guard: string; last: number }> {
  const root = await temporaryRoot(t)
  let last = 0
  for (let index = 0; index < 3; index++) {
    const unlock = await tryLock(root)
    last = unlock.token
    await unlock()
  }
  return { root, guard: join(root, '.lock.guard'), last }
}

/** Writers, readers, attempts and inspections work, and tokens rise. */
async function works(t: ExecutionContext, root: string, last: number): Promise<void> {
  await inTime('it is inspected', inspect(root))
  for (const take of [
    () => tryLock(root),
    () => tryRLock(root),
    () => tryLock(root, { wait: false })
  ]) {
    const unlock = await inTime('the lock is granted', take())
    t.true(unlock.token > last, `${unlock.token} > ${last}`)
    last = unlock.token
    t.is((await inspect(root)).holder?.token, last)
    await unlock()
  }
}

const GIB = 2 ** 30

const spoilt: Record<string, (guard: string) => Promise<unknown>> = {
  'is empty': (guard) => truncate(guard),
  'is a gigabyte long': (guard) => truncate(guard, GIB),
  'is as long as it should be, of zeros': (guard) => writeFile(guard, Buffer.alloc(1_024)),
  'is torn in both places': async (guard) => {
    const bytes = await readFile(guard)
    await writeFile(guard, bytes.fill(0, 60, 512).fill(0, 512 + 60))
  },
  'has a record of a later version': async (guard) =>
    writeFile(guard, (await readFile(guard, 'latin1')).replaceAll('rootlock1', 'rootlock2'))
}

for (const [what, spoil] of Object.entries(spoilt)) {
  test(`a lock works even if its ledger ${what}`, async (t) => {
    const { root, guard, last } = await written(t)
    await spoil(guard)
    await works(t, root, last)
  })

  test(`a held lock is released and acquired even if its ledger ${what}`, async (t) => {
    const { root, guard } = await written(t)
    const unlock = await hold(t, root)
    await spoil(guard)
    await t.throwsAsync(tryLock(root, { wait: false }), { code: 'ERR_LOCK_UNSUCCESSFUL' })
    await unlock()
    await works(t, root, unlock.token)
  })
}

test('a lock works wherever its ledger is torn', async (t) => {
  const { root, guard } = await written(t)
  let { token: last } = await hold(t, root).then(async (unlock) => (await unlock(), unlock))
  for (let length = 1023; length >= 0; length -= 31) {
    await truncate(guard, length)
    const unlock = await tryLock(root)
    t.true(unlock.token > last, `cut to ${length}`)
    last = unlock.token
    await unlock()
  }
})

needing(test, tool('truncate', '--version'))('a huge ledger is not read whole', async (t) => {
  const { root, guard, last } = await written(t)
  execFileSync('truncate', ['--size=1T', guard])
  await works(t, root, last)
  t.is((await stat(guard)).size, 2 ** 40)
})

needing(test, unix)('a frozen holder is replaced though its ledger is emptied', async (t) => {
  const { root, guard } = await written(t)
  const frozen = child(t, 'holder', { root, options: QUICK })
  const { token } = await frozen.says('held')
  await frozen.freeze(root)
  await truncate(guard)
  const unlock = await hold(t, root, QUICK)
  t.true(unlock.token > token)
  frozen.thaw()
  t.is((await frozen.says('lost')).reason, 'hijacked')
})
