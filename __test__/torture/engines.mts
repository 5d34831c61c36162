// Where the lock of a whole run is kept.

import { Cluster, etcd } from '../helpers/etcd.mjs'
import type { Missing } from '../helpers/missing.mjs'
import { postgres, Server } from '../helpers/postgres.mjs'
import { inDirectory } from './directory.mjs'
import type { Engine } from './plan.mjs'
import { onServer } from './server.mjs'
import type { SetStage } from './stage.mjs'

export interface Run {
  setStage: SetStage
  end(): Promise<void>
}

/** What an engine needs and this machine lacks. */
export const lacking: Record<Engine, Missing> = { directory: false, postgres, etcd }

/** Starts what an engine needs; `members` is how many a cluster has. */
export async function start(engine: Engine, members: number): Promise<Run> {
  if (engine === 'directory') return { setStage: inDirectory, end: async () => {} }
  const server = engine === 'postgres' ? await Server.start() : await Cluster.start(members)
  const end = () => server.remove()
  // It would outlive this process.
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => void end().finally(() => process.exit(1)))
  }
  return { setStage: onServer(server), end }
}
