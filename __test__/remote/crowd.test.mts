// What a crowd of processes believes to hold, while its members are frozen, its sessions ended and the server
// restarted: never two together, with tokens that rise, and nobody left behind.

import { setTimeout as pause } from 'node:timers/promises'

import test from 'ava'

import { child } from '../helpers/child.mjs'
import { eventually } from '../helpers/eventually.mjs'
import { freshUrl, servers } from '../helpers/server-root.mjs'

const { onServers } = servers()

const PROCESSES = 5
const TERMS = { heartbeatMs: 300, staleMs: 1_500 }

interface Hold {
  shared: boolean
  from: number
  to: number
  token: number
}

const hold = (shared: boolean, from: number, to: number, token: number): Hold => ({
  shared,
  from,
  to,
  token
})

/** Pairs that exclude each other and overlap, and writers whose token is not above the one before. */
function violations(holds: Hold[]): string[] {
  const found: string[] = []
  const inOrder = holds.toSorted((one, other) => one.from - other.from)
  const last: { writer?: Hold; reader?: Hold } = {}
  let token = 0
  for (const next of inOrder) {
    const before = [last.writer, next.shared ? undefined : last.reader]
    for (const other of before) {
      if (other && other.to > next.from) found.push(`two: ${JSON.stringify([other, next])}`)
    }
    if (next.shared) {
      if (!last.reader || next.to > last.reader.to) last.reader = next
      continue
    }
    if (next.token <= token) found.push(`a token fell: ${JSON.stringify(next)}`)
    token = Math.max(token, next.token)
    if (!last.writer || next.to > last.writer.to) last.writer = next
  }
  return found
}

onServers(
  'never two together, whatever happens to processes, sessions and the server',
  async (t, server) => {
    t.timeout(180_000)
    const url = freshUrl(server)
    const crowd = Array.from({ length: PROCESSES }, (_, index) =>
      child(t, 'server-crowd', { url, seed: 1 + index * 7_919, lanes: 3, options: TERMS })
    )
    for (const member of crowd) await member.says('locking')
    const disturbances = [
      async (index: number) => {
        const member = crowd[index % PROCESSES]!
        await member.freeze()
        // Shorter than a lease, and longer.
        await pause(index % 2 ? 400 : 2_000)
        member.thaw()
      },
      () => server.disturb(),
      () => server.disturb(),
      (index: number) => server.restart(index % 2 ? 'fast' : 'immediate')
    ]
    for (let index = 0; index < 12; index++) {
      await pause(300)
      await disturbances[index % disturbances.length]!(index)
    }
    for (const member of crowd) member.tell('end')
    const told = await Promise.all(crowd.map((member) => member.says('ended')))
    const lists = told as unknown as { holds: [boolean, number, number, number][] }[]
    const holds = lists.flatMap((list) => list.holds.map((each) => hold(...each)))
    t.log(`${holds.length} holds`)
    t.true(holds.length > 100)
    t.deepEqual(violations(holds), [])
    await eventually('nothing is locked', async () => {
      const { held, waiting } = await server.locks()
      return held + waiting === 0
    })
  }
)

test('the check finds two together, and a token that falls', (t) => {
  t.is(violations([hold(false, 0, 2, 1), hold(false, 1, 3, 2)]).length, 1)
  t.is(violations([hold(true, 0, 5, 1), hold(true, 1, 2, 1), hold(false, 3, 6, 2)]).length, 1)
  t.is(violations([hold(false, 0, 1, 5), hold(false, 2, 3, 5)]).length, 1)
  t.is(violations([hold(true, 0, 5, 1), hold(true, 1, 6, 1), hold(false, 6, 7, 2)]).length, 0)
})
