import { existsSync } from 'node:fs'
import { mkdir, readdir } from 'node:fs/promises'
import { join } from 'node:path'

import test, { type ExecutionContext } from 'ava'

import { child, fixture, program, type Child } from '../helpers/child.mjs'
import { DEADLINE } from '../helpers/eventually.mjs'
import { goProgram } from '../helpers/go-program.mjs'
import { mustBlock } from '../helpers/must-block.mjs'
import { linux, namespaces, needing, superuser, tool } from '../helpers/needing.mjs'
import { temporaryRoot } from '../helpers/temporary-root.mjs'

const system = [linux, superuser, namespaces, tool('nsenter', '--version')]
const fuse = !existsSync('/dev/fuse') && '/dev/fuse'
const remote = system.some(Boolean) || fuse ? { path: '', missing: fuse } : goProgram('remote')
const withFuse = needing(test, ...system, remote.missing)

const TERMS = { heartbeatMs: 200, staleMs: 2_000 }

/** Storage that a process serves, in a namespace of its own. */
async function mount(t: ExecutionContext, ...options: string[]) {
  const folder = await temporaryRoot(t)
  const [from, root] = [join(folder, 'from'), join(folder, 'to')]
  await mkdir(from)
  await mkdir(root)
  const server = program(t, 'unshare', ['--mount', remote.path, ...options, from, root])
  await server.prints('mounted')
  const enter = ['nsenter', `--mount=/proc/${server.pid}/ns/mnt`]
  return {
    from,
    /** A holder whose lock is there, or in another given place. */
    holder: (more: object = {}) => child(t, 'holder', { root, options: TERMS, ...more }, enter),
    /** A process that blocks for its lock there. */
    blocked(timeoutMs: number): Child {
      const input = JSON.stringify({ root, options: { ...TERMS, timeoutMs } })
      return program(t, enter[0]!, [enter[1]!, process.execPath, fixture('sync'), input])
    },
    /** Nothing that needs the storage gets an answer while `work` runs. */
    async hang(work: () => Promise<void>) {
      await server.freeze()
      try {
        await work()
      } finally {
        server.thaw()
      }
    }
  }
}

/** Resolves if its event loop turns. */
async function turns(holder: Child): Promise<void> {
  holder.tell('ping')
  await holder.says('pong')
}

for (const options of [[], ['-locks']]) {
  const served = options.length ? 'its server' : 'the kernel'

  withFuse(`a lock on remote storage is a lock as any other: locks by ${served}`, async (t) => {
    const { from, holder } = await mount(t, ...options)
    const reader = holder({ shared: true })
    const { token } = await reader.says('held')
    t.deepEqual((await readdir(from)).toSorted(), ['.lock', '.lock.guard'])
    const second = holder({ shared: true })
    await second.says('held')
    const writer = holder()
    await writer.says('waiting')
    const held = writer.says('held')
    for (const other of [reader, second]) {
      t.false(writer.hasSaid('held'))
      other.tell('unlock')
      t.false((await other.says('unlocked')).lost)
    }
    t.true((await held).token > token)
    writer.kill()
    await writer.ends()
    await holder({ options: { wait: false } }).says('held')
  })

  withFuse(`a call blocks for a lock on remote storage: locks by ${served}`, async (t) => {
    const { holder, blocked } = await mount(t, ...options)
    const first = holder()
    await first.says('held')
    const waiter = blocked(DEADLINE)
    await waiter.prints('waiting\n')
    first.tell('unlock')
    await waiter.prints('held')
    waiter.process.stdin!.end()
    await waiter.prints('unlocked')
    t.is((await waiter.ends()).code, 0)
    const next = holder()
    await next.says('held')
    const late = blocked(20)
    await late.prints('failed held')
    // A process does not end before the storage has answered the calls of its threads.
    next.tell('unlock')
    t.is((await late.ends()).code, 0)
  })

  withFuse(
    `a wait on remote storage can be aborted, and leaves nothing: locks by ${served}`,
    async (t) => {
      const { holder } = await mount(t, ...options)
      const first = holder()
      await first.says('held')
      const waiter = holder()
      await waiter.says('waiting')
      waiter.tell('abort')
      t.is((await waiter.says('failed')).cause.name, 'AbortError')
      first.tell('unlock')
      await first.says('unlocked')
      const next = holder()
      await next.says('held')
    }
  )

  withFuse(`a wait on storage that hangs can be aborted: locks by ${served}`, async (t) => {
    const { holder, hang } = await mount(t, ...options)
    const first = holder()
    await first.says('held')
    const waiter = holder()
    await waiter.says('waiting')
    await hang(async () => {
      waiter.tell('abort')
      const failed = await waiter.says('failed')
      t.is(failed.code, 'ERR_LOCK_UNSUCCESSFUL')
      t.is(failed.cause.name, 'AbortError')
      await turns(waiter)
    })
    first.tell('unlock')
    await first.says('unlocked')
    await holder().says('held')
  })
}

withFuse(
  'a request for a lock on hung storage does not block the event loop, and can be aborted',
  async (t) => {
    const { holder, hang } = await mount(t)
    const known = holder()
    await known.says('held')
    known.tell('unlock')
    await known.says('unlocked')
    await hang(async () => {
      known.tell('lock')
      const settled = Promise.race([known.says('held'), known.says('failed')])
      await turns(known)
      await mustBlock(settled)
      await turns(known)
      known.tell('abort')
      t.is((await settled).cause.name, 'AbortError')
    })
    await holder().says('held')
  }
)

withFuse('a holder on hung storage is notified that it lost the lock', async (t) => {
  const { holder, hang } = await mount(t)
  const first = holder()
  await first.says('held')
  await hang(async () => {
    const lost = await first.says('lost')
    t.is(lost.code, 'ERR_LOCK_LOST')
    t.is(lost.reason, 'heartbeat-failed')
    await turns(first)
    first.tell('unlock')
    await turns(first)
  })
  t.true((await first.says('unlocked')).lost)
  await holder().says('held')
})

withFuse('hung storage affects no lock on other storage', async (t) => {
  const { holder, hang } = await mount(t)
  const elsewhere = await temporaryRoot(t)
  const both = holder({ also: elsewhere })
  await both.says('held')
  const other = child(t, 'holder', { root: elsewhere, options: TERMS })
  await other.says('waiting')
  await hang(async () => {
    t.is((await both.says('lost')).reason, 'heartbeat-failed')
    await mustBlock(other.says('held'))
    t.false(both.hasSaid('lost'))
  })
})

withFuse('a wait that has a limit ends on storage that does not answer', async (t) => {
  const { holder, blocked, hang } = await mount(t)
  await hang(async () => {
    const { reason, cause } = await holder({ options: { ...TERMS, timeoutMs: 20 } }).says('failed')
    t.is(reason, 'system')
    t.is(cause.code, 'ETIMEDOUT')
    await blocked(20).prints('failed system')
  })
  await holder().says('held')
})
