/** Locks on servers, measured beside what a user could write without this package. Writes servers.md. */
import { execFile, spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

import { machine } from '../machine.js'
import { median, percentile } from '../statistics.js'
import { etcd, postgres, type Started } from './start.js'

const execute = promisify(execFile)
const file = (name: string) => fileURLToPath(new URL(name, import.meta.url))
const quick = process.argv.includes('--quick')
const ROUNDS = quick ? 1 : 5
const PAIRS = quick ? 200 : 1_000
const TURNS = quick ? 50 : 300

const programs = mkdtempSync(path.join(tmpdir(), 'rootlock-bench-go-'))
const mutex = path.join(programs, 'mutex')
await execute('go', ['build', '-o', mutex, '.'], { cwd: file('../../servers/mutex') })

const now = () => Number(process.hrtime.bigint() / 1_000n)
const node = (...args: string[]) => [process.execPath, file('worker.js'), ...args] as const

async function number(command: readonly string[]): Promise<number> {
  const { stdout } = await execute(command[0]!, command.slice(1))
  return Number(stdout)
}

/** Two processes that take turns: from a release to the next grant, in milliseconds. */
async function handOvers(command: readonly string[]): Promise<number[]> {
  const both = await Promise.all([1, 2].map(() => execute(command[0]!, command.slice(1))))
  const all = both
    .flatMap(({ stdout }) => stdout.trim().split('\n'))
    .map((line) => line.split(' ').map(Number) as [number, number])
    .toSorted(([one], [other]) => one - other)
  // At both ends, one of them is alone.
  return all
    .slice(10, -10)
    .map(([granted], index) => (granted - all[index + 9]![1]) / 1_000)
    .filter((each) => each >= 0)
}

function begin(command: readonly string[]) {
  const child: ChildProcess = spawn(command[0]!, command.slice(1), {
    stdio: ['ignore', 'pipe', 'inherit']
  })
  const lines = createInterface({ input: child.stdout! })[Symbol.asyncIterator]()
  const says = async (word: string) => {
    for (;;) {
      const { value, done } = (await lines.next()) as { value?: string; done?: boolean }
      if (done) throw new Error(`it ended without ${word}`)
      const [what, at] = value!.split(' ')
      if (what === word) return Number(at)
    }
  }
  return { child, says }
}

/** From a signal to the next grant, in milliseconds; and from SIGCONT until the victim is told. */
async function afterSignal(url: string, signal: 'SIGKILL' | 'SIGSTOP'): Promise<[number, number]> {
  const holder = begin(node('rootlock', url, 'hold'))
  await holder.says('held')
  const next = begin(node('rootlock', url, 'grant'))
  await next.says('waiting')
  const begun = now()
  holder.child.kill(signal)
  const granted = await next.says('granted')
  let told = 0
  if (signal === 'SIGSTOP') {
    const woken = now()
    holder.child.kill('SIGCONT')
    told = ((await holder.says('lost')) - woken) / 1_000
  }
  if (next.child.exitCode === null) await once(next.child, 'exit')
  return [(granted - begun) / 1_000, told]
}

const lines: string[] = []
const say = (line: string) => {
  process.stderr.write(`${line}\n`)
  lines.push(line)
}
const ms = (value: number) => `${value < 10 ? value.toFixed(2) : value.toFixed(0)} ms`
const longest = (values: number[]) => `${ms(median(values))}, at most ${ms(Math.max(...values))}`
const spread = (values: number[]) =>
  `${median(values).toFixed(0)} (${Math.min(...values).toFixed(0)}–${Math.max(...values).toFixed(0)})`

/** Rates of contenders in a rotating order: medians, with the ratio to the first. */
async function rates(contenders: Record<string, readonly string[]>): Promise<void> {
  const found = Object.keys(contenders).map((name) => [name, [] as number[]] as const)
  for (let round = 0; round < ROUNDS; round++) {
    for (const [name, values] of found) values.push(await number(contenders[name]!))
  }
  const first = median(found[0]![1])
  for (const [name, values] of found) {
    const ratio = (median(values) / first).toFixed(2)
    say(`| pairs/s, ${name} | ${spread(values)} | ${ratio} |`)
  }
}

async function turns(contenders: Record<string, readonly string[]>): Promise<void> {
  let first = NaN
  for (const [name, command] of Object.entries(contenders)) {
    const found = await handOvers(command)
    const [p50, p99] = [percentile(found, 0.5), percentile(found, 0.99)]
    if (Number.isNaN(first)) first = p50
    say(`| hand-over p50 · p99, ${name} | ${ms(p50)} · ${ms(p99)} | ${(p50 / first).toFixed(2)} |`)
  }
}

async function signals({ url }: Started): Promise<void> {
  const [killed, stopped, told]: number[][] = [[], [], []]
  for (let round = 0; round < (quick ? 1 : 5); round++) {
    killed!.push((await afterSignal(url, 'SIGKILL'))[0])
    const [granted, heard] = await afterSignal(url, 'SIGSTOP')
    stopped!.push(granted)
    told!.push(heard)
  }
  say(`| SIGKILL → next | ${longest(killed!)} | |`)
  say(`| SIGSTOP → next (T 3 s, h 1 s) | ${longest(stopped!)} | |`)
  say(`| SIGCONT → victim told | ${longest(told!)} | |`)
}

async function many({ url }: Started, count: number): Promise<void> {
  const { stdout } = await execute(...split(node('rootlock', url, 'many', String(count))))
  const [memory, cpu] = stdout.trim().split(' ').map(Number)
  say(
    `| ${count} held by one process | ${(memory! / 2 ** 20).toFixed(0)} MiB, ${cpu!.toFixed(1)} ms of CPU per s | |`
  )
}

const split = (command: readonly string[]) => [command[0]!, command.slice(1)] as const

async function on(
  title: string,
  start: () => Promise<Started>,
  run: (at: Started) => Promise<void>
) {
  const started = await start()
  say(`\n## ${title}\n\n| measure | | ÷ the first |\n| --- | --- | --- |`)
  try {
    await run(started)
  } finally {
    await started.stop()
  }
}

say(
  `# Locks on servers\n\nBy \`npm run bench:servers\`${quick ? ' -- --quick' : ''}, ${new Date().toISOString().slice(0, 10)}. Servers on loopback, every commit on disk. Medians, with the range of ${ROUNDS} rounds.\n`
)
for (const [name, value] of Object.entries(machine())) say(`- ${name}: ${value}`)
await on('PostgreSQL', postgres, async (at) => {
  const pairs = { 'pg, three statements': 'pg', rootlock: 'rootlock' }
  const command = (job: string, count: number) =>
    Object.fromEntries(
      Object.entries(pairs).map(([name, kind]) => [
        name,
        node(kind, kind === 'pg' ? at.endpoints : at.url, job, String(count))
      ])
    )
  await rates(command('pairs', PAIRS))
  await turns(command('turns', TURNS))
  await signals(at)
})
for (const members of [1, 3]) {
  await on(
    `etcd, ${members} member${members > 1 ? 's' : ''}`,
    () => etcd(members),
    async (at) => {
      const go = (job: string, count: number) =>
        [mutex, job, at.endpoints, `peer-${job}`, String(count), '5'] as const
      const ours = (job: string, count: number) => node('rootlock', at.url, job, String(count))
      await rates({
        "etcd's Go Mutex": go('pairs', PAIRS),
        'a put and a delete in Go': go('writes', PAIRS),
        "rootlock's two transactions in Go": go('steps', PAIRS),
        rootlock: ours('pairs', PAIRS)
      })
      await turns({ "etcd's Go Mutex": go('turns', TURNS), rootlock: ours('turns', TURNS) })
      await signals(at)
      if (members === 1) await many(at, quick ? 100 : 1_000)
    }
  )
}
rmSync(programs, { recursive: true })
if (!quick) writeFileSync(file('../../servers.md'), `${lines.join('\n')}\n`)
