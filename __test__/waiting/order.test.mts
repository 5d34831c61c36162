import test from 'ava'
import { tryLock, tryRLock } from 'rootlock'

import { child } from '../helpers/child.mjs'
import { inTime } from '../helpers/eventually.mjs'
import { hold, waiter } from '../helpers/locks.mjs'
import { mustBlock } from '../helpers/must-block.mjs'
import { temporaryRoot } from '../helpers/temporary-root.mjs'

const count = (length: number) => Array.from({ length }, (_, index) => index)

test('callers in one process are served first in, first out', async (t) => {
  const root = await temporaryRoot(t)
  const unlock = await hold(t, root)
  const order: number[] = []
  const all = count(100).map(async (index) => {
    const mine = await tryLock(root)
    order.push(index)
    if (index % 10 === 0) await new Promise((resolve) => setTimeout(resolve, 2))
    await mine()
  })
  await unlock()
  await inTime('all had it', Promise.all(all))
  t.deepEqual(order, count(100))
})

test('callers in one process are served first in, first out, when another process releases', async (t) => {
  const root = await temporaryRoot(t)
  const holder = child(t, 'holder', { root })
  await holder.says('held')
  const order: number[] = []
  const all = count(50).map(async (index) => {
    const mine = await tryLock(root)
    order.push(index)
    await mine()
  })
  await mustBlock(Promise.race(all))
  holder.tell('unlock')
  await inTime('all had it', Promise.all(all))
  t.deepEqual(order, count(50))
})

test('the first callers of a process are served first in, first out', async (t) => {
  const root = await temporaryRoot(t)
  const { order } = await child(t, 'first-calls', { root, calls: 100 }).says('served')
  t.deepEqual(order, count(100))
})

test('writers and readers in one process are served in order of arrival', async (t) => {
  const root = await temporaryRoot(t)
  const unlock = await hold(t, root)
  const order: string[] = []
  const all = [...'wrrwwrrrwr'].map(async (kind) => {
    const mine = await (kind === 'w' ? tryLock : tryRLock)(root)
    order.push(kind)
    await new Promise(setImmediate)
    await mine()
  })
  await unlock()
  await inTime('all had it', Promise.all(all))
  t.is(order.join(''), 'wrrwwrrrwr')
})

test('a waiting writer is not overtaken by readers that come later', async (t) => {
  const root = await temporaryRoot(t)
  const reader = await hold(t, root, {}, tryRLock)
  const writer = waiter(t, root).lock
  await mustBlock(writer)
  const later = waiter(t, root, {}, tryRLock).lock
  await mustBlock(later)
  await reader()
  const unlock = await inTime('the writer has it', writer)
  await mustBlock(later)
  await unlock()
  await inTime('the reader has it', later)
  t.pass()
})

test('a writer gets its turn even if readers come all the time', async (t) => {
  const root = await temporaryRoot(t)
  const readers = new Set<Promise<unknown>>()
  const end = new AbortController()
  const read = async () => {
    while (!end.signal.aborted) {
      // The next one asks before this one is done: there is always a reader.
      const mine = await tryRLock(root)
      await new Promise((resolve) => setTimeout(resolve, 5))
      void mine()
    }
  }
  for (const _ of count(3)) readers.add(read())
  await new Promise((resolve) => setTimeout(resolve, 20))
  await (
    await hold(t, root)
  )()
  end.abort()
  await inTime('the readers end', Promise.all(readers))
  t.pass()
})

test('a reader gets its turn even if writers come all the time', async (t) => {
  const root = await temporaryRoot(t)
  const end = new AbortController()
  const write = async () => {
    while (!end.signal.aborted) await (await tryLock(root))()
  }
  const writers = count(3).map(write)
  await (
    await hold(t, root, {}, tryRLock)
  )()
  end.abort()
  await inTime('the writers end', Promise.all(writers))
  t.pass()
})

for (const [name, take] of [
  ['writer', tryLock],
  ['reader', tryRLock]
] as const) {
  test(`a ${name} that asks again at once lets another process have its turn`, async (t) => {
    const root = await temporaryRoot(t)
    let asked = take(root)
    let mine = await asked
    const other = child(t, 'holder', { root })
    await other.says('waiting')
    const end = new AbortController()
    const turn = other.says('held').then(() => end.abort())
    let rounds = 0
    while (!end.signal.aborted) {
      await mine()
      asked = take(root)
      mine = await Promise.race([asked, turn.then(() => mine)])
      // Only the other's message needs this; it is rare enough to hold the lock for long.
      if (++rounds % 50 === 0) await new Promise(setImmediate)
    }
    t.log(`${rounds} rounds`)
    t.pass()
    other.kill()
    await (
      await asked
    )()
  })
}

test('two processes hand the lock back and forth', async (t) => {
  const root = await temporaryRoot(t)
  let has = child(t, 'holder', { root })
  await has.says('held')
  let waits = child(t, 'holder', { root })
  await waits.says('waiting')
  let next = waits.says('held')
  for (let round = 0; round < 50; round++) {
    has.tell('unlock')
    await next
    await has.says('unlocked')
    has.tell('lock')
    await has.says('waiting')
    t.false(has.hasSaid('held'))
    next = has.says('held')
    ;[has, waits] = [waits, has]
  }
})
