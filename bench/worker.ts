/**
 * The worker process: `node worker.js <adapter>`. It does what the coordinator asks for over IPC.
 * The jobs are beside the measures that need them, in `measures/`.
 */
import type { Acquire } from './adapter.js'
import { adapterNamed } from './adapters/index.js'

export interface Call {
  id: number
  measure: string
  job: string
  argument: unknown
}
export type Reply = { id: number; value: unknown } | { id: number; error: string }
export type Job = (acquire: Acquire, argument: never) => unknown

const adapter = adapterNamed(process.argv[2] ?? '')
const loading = adapter.load()
loading.catch(() => {})

async function run({ measure, job, argument }: Call): Promise<unknown> {
  const acquire = await loading
  if (job === 'ready') return true
  const { jobs } = (await import(`./measures/${measure}.js`)) as { jobs: Record<string, Job> }
  const work = jobs[job]
  if (!work) throw new Error(`${measure} has no job ${job}`)
  return work(acquire, argument as never)
}

process.on('message', async (call: Call) => {
  let reply: Reply
  try {
    reply = { id: call.id, value: await run(call) }
  } catch (error) {
    reply = { id: call.id, error: error instanceof Error ? error.message : String(error) }
  }
  if (process.connected) process.send?.(reply)
})

// The coordinator is gone, however it ended.
process.once('disconnect', () => process.exit())
