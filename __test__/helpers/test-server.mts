// What the servers of all engines have in common for tests.

import { once } from 'node:events'
import { readdirSync } from 'node:fs'
import { createServer, type AddressInfo } from 'node:net'
import { fileURLToPath } from 'node:url'

import type { Missing } from './missing.mjs'

/** How many hold a lock at a server, and how many wait for one. */
export interface Locks {
  held: number
  waiting: number
}

export interface TestServer {
  readonly name: 'PostgreSQL' | 'etcd'
  /** Of a root of that name. */
  url(root?: string): string
  /** Where it listens. */
  readonly ports: number[]
  /** The same as that URL, by other ports. */
  urlBy(ports: number[], url: string): string
  /** Stops it: `fast` in order, `immediate` is a crash. */
  stop(how?: 'fast' | 'immediate'): Promise<void>
  /** Starts it again. */
  begin(): Promise<void>
  restart(how?: 'fast' | 'immediate'): Promise<void>
  remove(): Promise<void>
  locks(): Promise<Locks>
  /** Ends the sessions of those who hold a lock, as an administrator may. */
  terminateHolders(): Promise<void>
  /** Does what a server may do at any time without two having a lock. */
  disturb(): Promise<void>
}

const home = fileURLToPath(new URL('../../../', import.meta.url))

const built = readdirSync(home).some((name) =>
  name.startsWith(`rootlock-remote.${process.platform}-${process.arch}`)
)

/** The binding for servers, if it is missing. */
export const addon: Missing = !built && {
  program: 'the binding of @rootlock/remote (npm run build:remote)'
}

export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}
