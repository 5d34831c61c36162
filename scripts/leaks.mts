// `npm run check -- leaks`: 100 000 locks, acquired in every way, and what is left of them: descriptors,
// threads, memory. An argument is another number.

import { readdirSync, readFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

import { openRoot, tryLock, tryRLock, withLock } from 'rootlock'

const total = Number(process.argv[2] ?? 100_000)
const BATCH = 1_000

setFlagsFromString('--expose-gc')
const gc = runInNewContext('gc') as () => void

const root = await mkdtemp(join(tmpdir(), 'rootlock-leaks-'))
const opened = await openRoot(root)
const { signal } = new AbortController()

/** Ten locks: free ones and two that are handed over; beside them a wait that is aborted, and a failure. */
async function ten(): Promise<void> {
  for (const take of [tryLock, tryRLock]) {
    for (const where of [root, opened]) await (await take(where, { signal }))()
  }
  await withLock(root, () => {})
  const first = await tryLock(root)
  const [second, third] = [tryLock(root), tryLock(opened)]
  const abort = new AbortController()
  const aborted = tryLock(root, { signal: abort.signal }).catch(() => {})
  abort.abort()
  await aborted
  await first()
  await (
    await second
  )()
  await (
    await third
  )()
  await (
    await tryRLock(root, { fileName: 'other', heartbeatMs: 50, staleMs: 150 })
  )()
  await (
    await tryLock(opened, { fileName: 'other', wait: false })
  )()
  await tryLock(`${root}/nowhere`).catch(() => {})
}

interface Left {
  descriptors: number
  threads: number
  /** MiB. */
  heap: number
  resident: number
  /** The part of the resident memory that JavaScript's heap keeps in reserve. */
  reserved: number
}

const countThreads = () => readdirSync('/proc/self/task').length

/** The counts when nothing is going on. */
async function left(): Promise<Left> {
  let threads = -1
  while (threads !== countThreads()) {
    threads = countThreads()
    await new Promise((resolve) => setTimeout(resolve, 12_000))
  }
  gc()
  gc()
  const status = readFileSync('/proc/self/status', 'utf8')
  return {
    descriptors: readdirSync('/proc/self/fd').length,
    threads,
    heap: process.memoryUsage().heapUsed / 2 ** 20,
    resident: Number(/^RssAnon:\s+(\d+)/m.exec(status)![1]) / 2 ** 10,
    reserved: process.memoryUsage().heapTotal / 2 ** 20
  }
}

const show = ({ descriptors, threads, heap, resident, reserved }: Left) =>
  `${descriptors} descriptors, ${threads} threads, heap ${heap.toFixed(1)} MiB, resident ${resident.toFixed(1)} MiB (of it ${reserved.toFixed(1)} for the heap)`

async function locks(count: number): Promise<void> {
  for (let done = 0; done < count; done += 10) await ten()
}

await locks(10 * BATCH)
const before = await left()
console.log(`after ${10 * BATCH} locks: ${show(before)}`)
const halves: Left[] = []
for (let half = 0; half < 2; half++) {
  await locks(total / 2)
  halves.push(await left())
  console.log(`after ${10 * BATCH + ((half + 1) * total) / 2} locks: ${show(halves[half]!)}`)
}
const [middle, end] = halves as [Left, Left]

const wrong: string[] = []
if (end.descriptors > before.descriptors) wrong.push('descriptors leak')
if (end.threads > before.threads) wrong.push('threads leak')
// A leak grows with every lock: 40 bytes of each would be 2 MiB over the second half.
if (end.heap - middle.heap > 1) wrong.push('the heap grows')
if (end.resident - middle.resident > 4) wrong.push('memory grows')
await opened.close()
await rm(root, { recursive: true, force: true })
for (const what of wrong) console.log(what)
console.log(`${wrong.length > 0 ? 0 : 1} passed, ${wrong.length > 0 ? 1 : 0} failed`)
process.exitCode = wrong.length > 0 ? 1 : 0
