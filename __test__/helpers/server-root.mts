// Roots on servers that a test file shares.

import { randomUUID } from 'node:crypto'

import test, { type ExecutionContext } from 'ava'
import { openRoot, tryLock, type LockOptions, type Root, type UnlockFunc } from 'rootlock'

import { Cluster, etcd } from './etcd.mjs'
import { eventually } from './eventually.mjs'
import { needing, type Missing } from './needing.mjs'
import { postgres, Server } from './postgres.mjs'
import { wayTo, type Way } from './proxy.mjs'
import type { TestServer } from './test-server.mjs'

type Run<S> = (t: ExecutionContext, server: S) => Promise<void> | void

/** Declares a test, which gets a server that those of its file share. */
export type Declare<S> = (title: string, run: Run<S>) => void

/** Of one file one after the other, because some restart the server. */
function on<S extends TestServer>(start: () => Promise<S>, missing: Missing): Declare<S> {
  const declare = needing(test.serial, missing)
  return (title, run) => declare(title, async (t) => run(t, await start()))
}

/** Declares tests on PostgreSQL, on etcd, and on both. */
export function servers(settings?: string[]): {
  onPostgres: Declare<Server>
  onEtcd: Declare<Cluster>
  onServers: Declare<TestServer>
} {
  const all: TestServer[] = []
  const shared = <S extends TestServer>(start: () => Promise<S>) => {
    let starting: Promise<S> | undefined
    return () =>
      (starting ??= start().then((server) => {
        all.push(server)
        return server
      }))
  }
  test.after.always(async () => {
    for (const server of all) await server.remove()
  })
  const onPostgres = on(
    shared(() => Server.start(settings)),
    postgres
  )
  const onEtcd = on(
    shared(() => Cluster.start()),
    etcd
  )
  const onServers: Declare<TestServer> = (title, run) => {
    onPostgres(`${title}: on PostgreSQL`, run)
    onEtcd(`${title}: on etcd`, run)
  }
  return { onPostgres, onEtcd, onServers }
}

/** The URL of a root of the test's own. */
export const freshUrl = (server: TestServer): string => server.url(`test-${randomUUID()}`)

/** Opens it until the test ends. */
export async function opened(t: ExecutionContext, url: string): Promise<Root> {
  const root = await openRoot(url)
  t.teardown(() => root.close())
  return root
}

/** A way to a server that the test disturbs. */
export async function linked(t: ExecutionContext, server: TestServer, url: string): Promise<Way> {
  const way = await wayTo(server, url)
  t.teardown(() => way.links.forEach((link) => link.close()))
  return way
}

/** Asks again and again, until the lock is granted. */
export function eventuallyLocked(root: Root, options?: LockOptions): Promise<UnlockFunc> {
  return eventually('the lock is granted', async () =>
    tryLock(root, options).catch(() => undefined)
  ) as Promise<UnlockFunc>
}
