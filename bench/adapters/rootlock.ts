import { existsSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'

import type { Acquire, Adapter, Release } from '../adapter.js'

interface Rootlock {
  tryLock(root: string | Root, options?: { signal?: AbortSignal }): Promise<Release>
  tryRLock(root: string | Root): Promise<Release>
  openRoot(path: string): Promise<Root>
}
interface Root {
  close(): Promise<void>
}

/** The built entry of this repository; `BENCH_ROOTLOCK` names another build, to compare two of them. */
const entry = path.resolve(
  process.env.BENCH_ROOTLOCK ?? fileURLToPath(new URL('../../../index.mjs', import.meta.url))
)
const url = pathToFileURL(entry).href

function version(): string {
  const text = readFileSync(path.join(path.dirname(entry), 'package.json'), 'utf8')
  return (JSON.parse(text) as { version: string }).version
}

async function library(): Promise<Rootlock> {
  if (!existsSync(entry)) throw new Error(`${entry} does not exist: build rootlock first`)
  return (await import(url)) as Rootlock
}

export const rootlock: Adapter = {
  name: 'rootlock',
  how: '`tryLock(path)`, every option at its default',
  module: url,
  daily: true,
  excludesWithinProcess: true,
  abortable: true,
  shares: true,
  version,
  async load(): Promise<Acquire> {
    const { tryLock, tryRLock } = await library()
    const take: Acquire = (root, signal) => (signal ? tryLock(root, { signal }) : tryLock(root))
    return Object.assign(take, { shared: (root: string) => tryRLock(root) })
  }
}

export const rootlockOpenRoot: Adapter = {
  ...rootlock,
  name: 'rootlock (openRoot)',
  how: '`tryLock(root)` with a `Root` from `openRoot`, opened once',
  variant: true,
  async load(): Promise<Acquire> {
    const { tryLock, openRoot } = await library()
    const opened = new Map<string, Promise<Root>>()
    return async (name, signal) => {
      let root = opened.get(name)
      if (!root) opened.set(name, (root = openRoot(name)))
      return tryLock(await root, signal && { signal })
    }
  }
}
