/** Locks on a server as it is told, in a process of its own. Prints times in microseconds of CLOCK_MONOTONIC. */
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'

type Unlock = () => Promise<unknown>
type Lock = () => Promise<Unlock>

const now = () => Number(process.hrtime.bigint() / 1_000n)
const onWait = () => console.log('waiting')

interface Rootlock {
  openRoot(url: string): Promise<unknown>
  tryLock(root: unknown, options?: object): Promise<Unlock & { signal: AbortSignal }>
}

const load = async () =>
  (await import(fileURLToPath(new URL('../../../index.mjs', import.meta.url)))) as Rootlock

const lockers: Record<string, (url: string) => Promise<Lock>> = {
  async rootlock(url) {
    const { openRoot, tryLock } = await load()
    const root = await openRoot(url)
    return () => tryLock(root)
  },
  /** What a careful user of `pg` writes: a session lock, and a token from a row. */
  async pg(url) {
    const { default: pg } = await import('pg')
    const client = new pg.Client(url)
    await client.connect()
    await client.query('CREATE TABLE IF NOT EXISTS token (id int PRIMARY KEY, token bigint)')
    await client.query('INSERT INTO token VALUES (1, 0) ON CONFLICT DO NOTHING')
    const lock = { name: 'lock', text: 'SELECT pg_advisory_lock(1)' }
    const token = { name: 'token', text: 'UPDATE token SET token = token + 1 RETURNING token' }
    const unlock = { name: 'unlock', text: 'SELECT pg_advisory_unlock(1)' }
    return async () => {
      await client.query(lock)
      await client.query(token)
      return () => client.query(unlock)
    }
  }
}

const [kind, url, job, count] = process.argv.slice(2) as [string, string, string, string]

const jobs: Record<string, () => Promise<void>> = {
  async pairs() {
    const lock = await lockers[kind]!(url)
    for (let each = 0; each < 50; each++) await (await lock())()
    const begun = performance.now()
    for (let each = 0; each < Number(count); each++) await (await lock())()
    console.log((Number(count) / (performance.now() - begun)) * 1_000)
  },
  async turns() {
    const lock = await lockers[kind]!(url)
    for (let each = 0; each < Number(count); each++) {
      const unlock = await lock()
      const granted = now()
      await pause(5)
      const released = now()
      await unlock()
      console.log(granted, released)
    }
  },
  /** Holds until it is killed, frozen or told. */
  async hold() {
    const { openRoot, tryLock } = await load()
    const terms = { staleMs: 3_000, heartbeatMs: 1_000 }
    const unlock = await tryLock(await openRoot(url), terms)
    unlock.signal.addEventListener('abort', () => {
      console.log('lost', now())
      process.exit()
    })
    console.log('held')
    await new Promise(() => setInterval(() => {}, 1_000))
  },
  async grant() {
    const { openRoot, tryLock } = await load()
    const root = await openRoot(url)
    const unlock = await tryLock(root, { staleMs: 3_000, heartbeatMs: 1_000, onWait })
    console.log('granted', now())
    await unlock()
    process.exit()
  },
  /** Holds many locks: what that costs. */
  async many() {
    const { openRoot, tryLock } = await load()
    const root = await openRoot(url)
    for (let each = 0; each < Number(count); each++) await tryLock(root, { fileName: `l${each}` })
    global.gc?.()
    const [memory, cpu, begun] = [process.memoryUsage.rss(), process.cpuUsage(), now()]
    await pause(20_000)
    const { user, system } = process.cpuUsage(cpu)
    const perSecond = (user + system) / 1_000 / ((now() - begun) / 1_000_000)
    console.log(memory, perSecond)
    process.exit()
  }
}
await jobs[job]!()
process.exit()
