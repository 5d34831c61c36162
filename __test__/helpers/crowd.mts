// What a crowd of processes believes to hold on a server, while its members are frozen, its links cut and the server
// restarted: never two together, with tokens that rise, and nobody left behind.

import { setTimeout as pause } from 'node:timers/promises'

import type { ExecutionContext } from 'ava'

import { child, type Child } from './child.mjs'
import { wayTo, type Link } from './proxy.mjs'
import type { TestServer } from './test-server.mjs'

const PROCESSES = 5

/** Both engines keep to these. */
const TERMS = { heartbeatMs: 400, staleMs: 2_000 }

export interface Hold {
  shared: boolean
  from: number
  to: number
  token: number
}

export const hold = (shared: boolean, from: number, to: number, token: number): Hold => ({
  shared,
  from,
  to,
  token
})

/** Pairs that exclude each other and overlap, and writers whose token is not above the one before. */
export function violations(holds: Hold[]): string[] {
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

/** Shorter than a lease, and longer. */
const long = (index: number) => (index % 2 ? 400 : TERMS.staleMs + 500)

/** What happens to a crowd. */
type Disturbance = (index: number) => Promise<unknown>

/** Runs a crowd through some disturbances: what its members held. */
export async function crowd(
  t: ExecutionContext,
  server: TestServer,
  url: string,
  { rounds, seed = 1 }: { rounds: number; seed?: number }
): Promise<Hold[]> {
  const links: (readonly Link[])[] = []
  const members: Child[] = []
  for (let index = 0; index < PROCESSES; index++) {
    // Each has links of its own.
    const own = await wayTo(server, url)
    links.push(own.links)
    const about = {
      url: own.url,
      seed: seed + index * 7_919,
      lanes: 3,
      options: TERMS
    }
    members.push(child(t, 'server-crowd', about))
  }
  t.teardown(() => links.flat().forEach((link) => link.close()))
  for (const member of members) await member.says('locking')
  const disturbances: Disturbance[] = [
    async (index) => {
      const member = members[index % PROCESSES]!
      await member.freeze()
      await pause(long(index))
      member.thaw()
    },
    async (index) => {
      for (const link of links[index % PROCESSES]!) link.stop()
      await pause(long(index))
      for (const link of links[index % PROCESSES]!) link.restore()
    },
    () => server.disturb(),
    async (index) => {
      for (const link of links[index % PROCESSES]!) link.cut()
      await pause(long(index) / 2)
      for (const link of links[index % PROCESSES]!) link.restore()
    },
    async (index) => {
      for (const link of links[index % PROCESSES]!) link.slow(index % 3 ? 3 : 150)
      await pause(1_000)
      for (const link of links[index % PROCESSES]!) link.slow(0)
    },
    (index) => server.restart(index % 2 ? 'fast' : 'immediate')
  ]
  for (let index = 0; index < rounds; index++) {
    await pause(300)
    await disturbances[index % disturbances.length]!(index + seed)
  }
  for (const member of members) member.tell('end')
  const told = await Promise.all(
    members.map(async (member, index) => {
      try {
        return await member.says('ended')
      } catch (error) {
        const stuck = `member ${index}, pid ${member.pid}, does not end`
        throw new Error(`${stuck}: ${JSON.stringify(await server.locks())}`, { cause: error })
      }
    })
  )
  const lists = told as unknown as { holds: [boolean, number, number, number][] }[]
  return lists.flatMap((list) => list.holds.map((each) => hold(...each)))
}
