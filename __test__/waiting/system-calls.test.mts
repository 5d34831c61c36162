import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { fileURLToPath } from 'node:url'

import test from 'ava'

import { inTime } from '../helpers/eventually.mjs'
import { linux, needing, notEmulated, tool } from '../helpers/needing.mjs'
import { temporaryRoot } from '../helpers/temporary-root.mjs'

// The names of the calls are those of this processor.
const traced = needing(
  test,
  linux,
  process.arch !== 'x64' && 'x64',
  notEmulated,
  tool('strace', '--version')
)

/** A line of the page: `flock guard, unlock`. */
interface Call {
  text: string
  byPath: boolean
  firstGrant: boolean
  inRun: boolean
}

async function listed(): Promise<Call[]> {
  const page = await readFile(new URL('../../../docs/waiting.md', import.meta.url), 'utf8')
  const table = page.split('<!-- calls:begin -->')[1]!.split('<!-- calls:end -->')[0]!
  const rows = table.split('\n').filter((line) => line.startsWith('| `'))
  return rows.map((row) => {
    const [call, why, first, run] = row.split('|').slice(1)
    return {
      text: call!.replaceAll('`', '').trim(),
      byPath: why!.includes('by path'),
      firstGrant: first!.includes('×'),
      inRun: run!.includes('×')
    }
  })
}

/** The calls between the fixture's marks, as the page writes them, one list for each pair. */
async function pairs(root: string, by: 'root' | 'path', output: string): Promise<string[][]> {
  const fixture = fileURLToPath(new URL('../fixtures/pairs.mjs', import.meta.url))
  const names =
    'openat,openat2,statx,newfstatat,fstat,close,flock,fcntl,pread64,pwrite64,utimensat,read,write'
  const strace = spawn(
    'strace',
    ['-y', '-e', `trace=${names}`, '-o', output, process.execPath, fixture, root, by],
    { stdio: ['ignore', 'ignore', 'inherit'] }
  )
  const [code] = await inTime('the trace ends', once(strace, 'exit'))
  if (code !== 0) throw new Error(`the traced program ended with ${code}`)
  const found: string[][] = []
  let pair: string[] | undefined
  for (const line of (await readFile(output, 'utf8')).split('\n')) {
    if (line.includes(`${root}/begin"`)) pair = []
    else if (line.includes(`${root}/end"`)) pair = undefined
    else if (pair && line.includes(root)) {
      pair.push(told(line, root))
      if (pair.at(-1) === 'flock lock file, unlock') {
        found.push(pair)
        pair = []
      }
    }
  }
  return found
}

function told(line: string, root: string): string {
  const name = line.slice(0, line.indexOf('('))
  const [descriptor = ''] = new RegExp(`${root}[^>"]*`).exec(line) ?? []
  const named = /stat|open/.test(name) ? /"([^"]+)"/.exec(line)?.[1] : undefined
  const what = { '.lock': 'lock file', '.lock.guard': 'guard' }[basename(named ?? descriptor)]
  const how = /LOCK_(EX|UN)/.exec(line)?.[1]
  return `${name} ${what ?? 'directory'}${how === 'EX' ? ', exclusive' : how === 'UN' ? ', unlock' : ''}`
}

for (const by of ['root', 'path'] as const) {
  traced(`a free lock makes the system calls that the page lists, by ${by}`, async (t) => {
    const root = await temporaryRoot(t)
    const calls = (await listed()).filter((call) => by === 'path' || !call.byPath)
    const first = calls.filter((call) => call.firstGrant).map((call) => call.text)
    const run = calls.filter((call) => call.inRun).map((call) => call.text)
    const output = join(await temporaryRoot(t), 'trace')
    const found = await pairs(root, by, output)
    t.is(found.length, 100)
    const seen = { first: 0, run: 0 }
    for (const pair of found) {
      // Once a millisecond: whether another process waits. And a debug build checks what it closes.
      const made = pair.filter((call) => !call.startsWith('fcntl '))
      if (made.includes('pread64 guard')) {
        // Tracing slows a run down: it may be over before its look at the stamp is, or before the release.
        const looked = made.indexOf('flock guard, exclusive') - 1
        if (made[looked] === 'newfstatat lock file') made.splice(looked, 1)
        const wanted = made.includes('fstat lock file')
          ? first
          : first.filter((call) => call !== 'fstat lock file')
        t.deepEqual(made, wanted)
        seen.first++
      } else {
        t.deepEqual(made, run)
        seen.run++
      }
    }
    t.true(seen.first > 0 && seen.run > 0, JSON.stringify(seen))
  })
}
