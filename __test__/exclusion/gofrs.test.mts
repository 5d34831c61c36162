import { spawnSync } from 'node:child_process'
import { join } from 'node:path'

import test, { type ExecutionContext } from 'ava'
import { LockError, tryLock, tryRLock } from 'rootlock'

import { program } from '../helpers/child.mjs'
import { inTime } from '../helpers/eventually.mjs'
import { goProgram } from '../helpers/go-program.mjs'
import { hold, waiter } from '../helpers/locks.mjs'
import { mustBlock } from '../helpers/must-block.mjs'
import { linux, needing } from '../helpers/needing.mjs'
import { temporaryRoot } from '../helpers/temporary-root.mjs'

const gofrs = goProgram('gofrs')
const withGo = needing(test, gofrs.missing)

function start(t: ExecutionContext, root: string, what: 'lock' | 'rlock', fileName = '.lock') {
  return program(t, gofrs.path, [what, join(root, fileName)])
}

function attempt(root: string, what: 'try' | 'rtry'): string {
  return spawnSync(gofrs.path, [what, join(root, '.lock')], { encoding: 'utf8' }).stdout.trim()
}

for (const [what, take] of [
  ['writer', tryLock],
  ['reader', tryRLock]
] as const) {
  withGo(`a Go program that holds the lock keeps out our ${what} until it unlocks`, async (t) => {
    const root = await temporaryRoot(t)
    const peer = start(t, root, 'lock')
    await peer.prints('held')
    const { lock } = waiter(t, root, { recover: false }, take)
    await mustBlock(lock)
    peer.process.stdin!.end()
    await inTime('we have it', lock)
    t.deepEqual(await peer.ends(), { code: 0, signal: null })
  })
}

withGo('a Go reader excludes our writer, not our reader', async (t) => {
  const root = await temporaryRoot(t)
  const peer = start(t, root, 'rlock')
  await peer.prints('held')
  const reader = await hold(t, root, { wait: false }, tryRLock)
  await reader()
  const { lock } = waiter(t, root, { recover: false })
  await mustBlock(lock)
  peer.process.stdin!.end()
  await inTime('we have it', lock)
  t.pass()
})

withGo('our writer excludes a Go program, and our reader its writer', async (t) => {
  const root = await temporaryRoot(t)
  const writer = await hold(t, root)
  t.is(attempt(root, 'try'), 'refused')
  t.is(attempt(root, 'rtry'), 'refused')
  await writer()
  const reader = await hold(t, root, {}, tryRLock)
  t.is(attempt(root, 'try'), 'refused')
  t.is(attempt(root, 'rtry'), 'held')
  await reader()
  t.is(attempt(root, 'try'), 'held')
})

withGo('a waiting Go program acquires the lock when we unlock', async (t) => {
  const root = await temporaryRoot(t)
  const unlock = await hold(t, root, { fileName: '.posixage.lock' })
  const peer = start(t, root, 'lock', '.posixage.lock')
  const held = peer.prints('held')
  await mustBlock(held)
  await unlock()
  await held
  const { lock } = waiter(t, root, { fileName: '.posixage.lock', recover: false })
  await mustBlock(lock)
  peer.kill()
  await inTime('we have it', lock)
  t.pass()
})

needing(
  test,
  linux,
  gofrs.missing
)('a Go program is named, with its pid', async (t) => {
  const root = await temporaryRoot(t)
  const peer = start(t, root, 'lock')
  await peer.prints('held')
  const error = await t.throwsAsync<LockError>(tryLock(root, { wait: false, recover: false }), {
    instanceOf: LockError,
    message: new RegExp(`^store is locked by pid ${peer.pid} \\(gofrs\\)`)
  })
  t.like(error.holder, { pid: peer.pid, mode: 'exclusive' })
})
