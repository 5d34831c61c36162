// `npm run check -- runtimes`: the tests over the built package on every promised Node, its contract on
// Bun and Deno too. Installs the runtimes from npm, under `.build`.

import { existsSync } from 'node:fs'
import { join } from 'node:path'

import { fromNpm } from './from-npm.mjs'
import { nodeBinary, VERSIONS } from './node-versions.mjs'
import { AVA, CONTRACT, report, run, tap, type Count } from './tests.mjs'

const BUN = '1.4.5'
const DENO = '2.9.6'

const os = process.platform
const windows = os === 'win32'

function bun(): string {
  const arch = process.arch === 'arm64' ? 'aarch64' : process.arch
  const folder = fromNpm(`@oven/bun-${windows ? 'windows' : os}-${arch}`, BUN)
  return join(folder, 'bin', windows ? 'bun.exe' : 'bun')
}

function deno(): string {
  const libc = os === 'linux' ? '-glibc' : ''
  return join(fromNpm(`@deno/${os}-${process.arch}${libc}`, DENO), windows ? 'deno.exe' : 'deno')
}

const counts: [string, Count][] = []

for (const version of VERSIONS) {
  const node = nodeBinary(version)
  if (!existsSync(node)) throw new Error(`no ${node}`)
  console.log(`# Node ${version}`)
  counts.push([`Node ${version}`, await run(node, [AVA, '--tap', ...process.argv.slice(2)], tap)])
}

/** The contract, with a process of yet another runtime in it. */
async function contract(runtime: string, command: string[], other: string[]): Promise<void> {
  console.log(`# ${runtime}`)
  const env = { ROOTLOCK_OTHER_RUNTIME: JSON.stringify(other) }
  counts.push([runtime, await run(command[0]!, [...command.slice(1), CONTRACT], tap, env)])
}

await contract(`Bun ${BUN}`, [bun()], [process.execPath])
await contract(`Deno ${DENO}`, [deno(), 'run', '--allow-all'], [bun()])

report(counts)
