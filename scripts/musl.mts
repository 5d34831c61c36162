// `npm run check -- musl`: builds for musl, and runs the core's tests and the suite on a musl Node,
// in a Debian 13 that has a musl new enough for it; then the contract in Alpine Linux, on its musl.

import { copyFileSync, mkdirSync, readdirSync } from 'node:fs'

import { alpine, inAlpine } from './alpine.mjs'
import { cross, musl } from './cross.mjs'
import { muslNode } from './musl-node.mjs'
import { AVA, cargo, CONTRACT, report, run, tap, type Count } from './tests.mjs'
import { inTrixie, trixie } from './trixie.mjs'

const { node, libraries } = muslNode('x86_64')
trixie('musl')
mkdirSync('target/cross/musl', { recursive: true })
const libgcc = readdirSync(libraries).find((name) => name.startsWith('libgcc_s'))!
copyFileSync(`${libraries}/${libgcc}`, 'target/cross/musl/libgcc_s.so.1')

alpine()

function test([command, ...args]: string[], read: typeof tap): Promise<Count> {
  return run(command!, args, read)
}

const counts: [string, Count][] = []
for (const program of cross(musl(`${process.cwd()}/target/cross/musl`))) {
  const command = inTrixie(`LD_LIBRARY_PATH=${libraries}`, program)
  counts.push([program, await test(command, cargo)])
}
const suite = inTrixie(node, AVA, '--tap', ...process.argv.slice(2))
counts.push(['the suite on musl', await test(suite, tap)])
const contract = inAlpine(`LD_LIBRARY_PATH=${libraries}`, node, CONTRACT)
counts.push(['the contract in Alpine', await test(contract, tap)])
report(counts)
