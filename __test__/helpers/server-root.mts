// Roots on a server that a test file shares.

import { randomUUID } from 'node:crypto'

import test, { type ExecutionContext } from 'ava'
import { openRoot, type Root } from 'rootlock'

import { needing } from './needing.mjs'
import { postgres, Server } from './postgres.mjs'

/** Declares tests that need PostgreSQL; of one file one after the other, because some restart the server. */
export const onPostgres = needing(test.serial, postgres)

/** Starts a server for the tests of this file, and removes it after them. */
export function sharedServer(settings?: string[]): () => Server {
  let server: Server | undefined
  if (!postgres) {
    test.before(async () => {
      server = await Server.start(settings)
    })
    test.after.always(() => server?.remove())
  }
  return () => server!
}

/** The URL of a root of the test's own. */
export const freshUrl = (server: Server): string => server.url(`test-${randomUUID()}`)

/** Opens it until the test ends. */
export async function opened(t: ExecutionContext, url: string): Promise<Root> {
  const root = await openRoot(url)
  t.teardown(() => root.close())
  return root
}
