import { readFile, rm, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

import test, { type ExecutionContext } from 'ava'
import { tryLock, tryRLock } from 'rootlock'

import { child } from '../helpers/child.mjs'
import { hold, QUICK } from '../helpers/locks.mjs'
import { needing, unix } from '../helpers/needing.mjs'
import { temporaryRoot } from '../helpers/temporary-root.mjs'

/** Acquires the lock once in this process and once in another; every token is greater than the last. */
async function rises(t: ExecutionContext, root: string, last: number): Promise<number> {
  const unlock = await tryLock(root)
  await unlock()
  t.true(Number.isSafeInteger(unlock.token))
  t.true(unlock.token > last, `${unlock.token} > ${last}`)
  const other = child(t, 'holder', { root })
  const { token } = await other.says('held')
  t.true(token > unlock.token, `${token} > ${unlock.token}`)
  other.kill()
  await other.ends()
  return token
}

test('tokens rise, whichever process acquires the lock and however it ends', async (t) => {
  const root = await temporaryRoot(t)
  let last = 0
  for (let index = 0; index < 100; index++) {
    const unlock = await (index % 3 ? tryLock : tryRLock)(root)
    t.true(unlock.token > last)
    last = unlock.token
    await unlock()
  }
  last = await rises(t, root, last)
  await rises(t, root, last)
})

test('concurrent readers have different tokens, and a writer has a greater one', async (t) => {
  const root = await temporaryRoot(t)
  const readers = await Promise.all(Array.from({ length: 20 }, () => hold(t, root, {}, tryRLock)))
  const tokens = readers.map(({ token }) => token)
  t.is(new Set(tokens).size, tokens.length)
  for (const unlock of readers) await unlock()
  t.true((await hold(t, root)).token > Math.max(...tokens))
})

test('a token stays the same while the lock is held', async (t) => {
  const unlock = await hold(t, await temporaryRoot(t))
  const { token } = unlock
  await unlock()
  t.is(unlock.token, token)
})

needing(test, unix)('tokens rise over takeovers', async (t) => {
  const root = await temporaryRoot(t)
  let last = 0
  for (let round = 0; round < 3; round++) {
    const frozen = child(t, 'holder', { root, options: QUICK })
    const { token } = await frozen.says('held')
    t.true(token > last)
    await frozen.freeze(root)
    const successor = await hold(t, root, QUICK)
    t.true(successor.token > token)
    last = successor.token
    await successor()
  }
  await rises(t, root, last)
})

const accidents: Record<string, (root: string) => Promise<void>> = {
  'the lock file was emptied': (root) => truncate(join(root, '.lock')),
  'the lock file was removed': (root) => rm(join(root, '.lock')),
  'the guard was emptied': (root) => truncate(join(root, '.lock.guard')),
  'the guard was removed': (root) => rm(join(root, '.lock.guard')),
  'both were removed': async (root) => {
    await rm(join(root, '.lock'))
    await rm(join(root, '.lock.guard'))
  },
  'the guard was filled with zeros': (root) =>
    writeFile(join(root, '.lock.guard'), Buffer.alloc(1_024)),
  'the guard was cut in the middle': (root) => truncate(join(root, '.lock.guard'), 200),
  'a bit of the guard was changed': async (root) => {
    const file = join(root, '.lock.guard')
    const bytes = await readFile(file)
    for (let offset = 20; offset < bytes.length; offset += 512) bytes[offset]! ^= 1
    await writeFile(file, bytes)
  }
}

for (const [what, happen] of Object.entries(accidents)) {
  test(`tokens rise even if ${what}`, async (t) => {
    const root = await temporaryRoot(t)
    const last = await rises(t, root, 0)
    await happen(root)
    await rises(t, root, last)
  })
}
