import test, { type ExecutionContext } from 'ava'
import { tryLock, tryRLock, tryRLockSync, withLock } from 'rootlock'

import { child } from '../helpers/child.mjs'
import { eventually, inTime } from '../helpers/eventually.mjs'
import { hold, waiter } from '../helpers/locks.mjs'
import { mustBlock } from '../helpers/must-block.mjs'
import { linux, needing } from '../helpers/needing.mjs'
import { temporaryRoot } from '../helpers/temporary-root.mjs'

// Other processes' waiters are visible on Linux only.
const onLinux = needing(test, linux)

/** Processes that read without a gap between them. */
async function readers(
  t: ExecutionContext,
  root: string,
  { processes, lanes, holdMs }: { processes: number; lanes: number; holdMs: number }
) {
  const all = Array.from({ length: processes }, () => child(t, 'readers', { root, lanes, holdMs }))
  await Promise.all(all.map((process) => process.says('reading')))
  await eventually('somebody reads at any time', () => isRead(root))
  return all
}

async function isRead(root: string): Promise<boolean> {
  const attempt = await tryLock(root, { wait: false }).catch(() => undefined)
  await attempt?.()
  return attempt === undefined
}

for (const [who, crowd] of [
  ['processes', { processes: 6, lanes: 1, holdMs: 60 }],
  // Longer than a waiter stays in the kernel's queue behind others.
  ['processes that read for long', { processes: 4, lanes: 1, holdMs: 400 }],
  ['the callers of one other process', { processes: 1, lanes: 6, holdMs: 300 }]
] as const) {
  onLinux(`a writer is not kept out by readers without a gap: ${who}`, async (t) => {
    const root = await temporaryRoot(t)
    const all = await readers(t, root, crowd)
    for (let round = 0; round < 5; round++) {
      await (
        await hold(t, root)
      )()
    }
    for (const process of all) {
      // Nor are they by the writer.
      process.tell('grants')
      const before = (await process.says('grants')).grants
      await eventually('it reads again', async () => {
        process.tell('grants')
        return (await process.says('grants')).grants > before
      })
      process.tell('end')
      await process.says('ended')
    }
    t.pass()
  })
}

onLinux('a reader that comes while a writer of another process waits is behind it', async (t) => {
  const root = await temporaryRoot(t)
  const first = child(t, 'holder', { root, shared: true })
  await first.says('held')
  const writer = child(t, 'holder', { root })
  await writer.says('waiting')
  const later = child(t, 'holder', { root, shared: true })
  await later.says('waiting')
  const reads = later.says('held')
  // Longer than anybody stays in the kernel's queue.
  await mustBlock(reads)
  await mustBlock(reads)
  first.tell('unlock')
  await writer.says('held')
  await mustBlock(reads)
  writer.tell('unlock')
  await inTime('the reader has it', reads)
  t.pass()
})

onLinux('a reader does not wait for a writer that is stopped', async (t) => {
  const root = await temporaryRoot(t)
  const first = child(t, 'holder', { root, shared: true })
  await first.says('held')
  const writer = child(t, 'holder', { root })
  await writer.says('waiting')
  await writer.freeze()
  await hold(t, root, {}, tryRLock)
  t.false(writer.hasSaid('held'))
})

onLinux('a reader does not wait for a writer that has left', async (t) => {
  const root = await temporaryRoot(t)
  const first = child(t, 'holder', { root, shared: true })
  await first.says('held')
  const writer = child(t, 'holder', { root })
  await writer.says('waiting')
  const later = waiter(t, root, {}, tryRLock).lock
  await mustBlock(later)
  writer.kill()
  await inTime('the reader has it', later)
  t.pass()
})

onLinux('a reader inside of a reader goes ahead of a writer that waits for both', async (t) => {
  const root = await temporaryRoot(t)
  const within = async () => {
    const writer = child(t, 'holder', { root })
    await writer.says('waiting')
    await (
      await hold(t, root, {}, tryRLock)
    )()
    t.false(writer.hasSaid('held'))
  }
  await withLock(root, within, { shared: true })
})

onLinux('a reader that blocks the thread that reads goes ahead too', async (t) => {
  const root = await temporaryRoot(t)
  const unlock = await hold(t, root, {}, tryRLock)
  const writer = child(t, 'holder', { root })
  await writer.says('waiting')
  tryRLockSync(root).sync()
  t.false(writer.hasSaid('held'))
  await unlock()
  await writer.says('held')
})
