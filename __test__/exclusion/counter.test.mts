import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

import test from 'ava'
import { tryLock, tryRLock } from 'rootlock'

import { child } from '../helpers/child.mjs'
import { eventually, inTime } from '../helpers/eventually.mjs'
import { temporaryRoot } from '../helpers/temporary-root.mjs'

for (const [processes, lines, times] of [
  [12, 1, 60],
  [4, 10, 30]
] as const) {
  const count = processes * lines * times

  test.serial(
    `${processes} processes with ${lines} callers each lose none of ${count} updates`,
    async (t) => {
      const root = await temporaryRoot(t)
      await writeFile(join(root, 'counter'), '0')
      const counters = Array.from({ length: processes }, () =>
        child(t, 'counter', { root, times, lines })
      )
      for (const counter of counters) await counter.says('ready')
      for (const counter of counters) counter.tell('start')
      for (const counter of counters) await counter.says('done')
      t.is(await readFile(join(root, 'counter'), 'utf8'), String(count))
    }
  )
}

test.serial('no update is lost while processes are killed in the middle', async (t) => {
  const root = await temporaryRoot(t)
  const file = join(root, 'counter')
  await writeFile(file, '0')
  const read = async () => Number(await readFile(file, 'utf8'))
  const survivors = [1, 2].map(() => child(t, 'counter', { root, times: 60, lines: 1 }))
  for (const survivor of survivors) await survivor.says('ready')
  for (const survivor of survivors) survivor.tell('start')
  for (let round = 0; round < 4; round++) {
    const victim = child(t, 'counter', { root, times: 1e9, lines: 2 })
    await victim.says('ready')
    const before = await read()
    victim.tell('start')
    await eventually('it goes on', async () => (await read()) > before + 5)
    // It may be in the middle of an update, which would be lost with it: `writeFile` is not
    // atomic. So it is killed while we hold the lock: then it can't be in the middle of one.
    const unlock = await inTime('our turn comes', tryLock(root))
    victim.kill()
    await victim.ends()
    await unlock()
  }
  for (const survivor of survivors) await survivor.says('done')
  t.true((await read()) >= 120 + 4)
})

test.serial('readers never see a half-done update', async (t) => {
  const root = await temporaryRoot(t)
  const file = join(root, 'counter')
  await writeFile(file, '1000000')
  const counters = [1, 2].map(() => child(t, 'counter', { root, times: 100, lines: 1 }))
  for (const counter of counters) await counter.says('ready')
  for (const counter of counters) counter.tell('start')
  let last = 0
  const end = new AbortController()
  const reading = Array.from({ length: 3 }, async () => {
    while (!end.signal.aborted) {
      // Without a pause there would always be a reader, and other processes’ writers would starve.
      await new Promise((resolve) => setTimeout(resolve, 5))
      const unlock = await tryRLock(root)
      // A file that is just being written is empty.
      const value = Number(await readFile(file, 'utf8'))
      await unlock()
      t.true(value >= 1_000_000, String(value))
      last = Math.max(last, value)
    }
  })
  for (const counter of counters) await counter.says('done')
  end.abort()
  await inTime('the readers end', Promise.all(reading))
  t.true(last <= 1_000_200)
  t.is(await readFile(file, 'utf8'), '1000200')
})
