// `npm run check -- musl`: builds for musl, and runs the core's tests and the suite on a musl Node,
// in a Debian 13 that has a musl new enough for it.

import { copyFileSync, mkdirSync, readdirSync } from 'node:fs'

import { cross, musl } from './cross.mjs'
import { muslNode } from './musl-node.mjs'
import { AVA, cargo, report, run, tap, type Count } from './tests.mjs'
import { inTrixie, trixie } from './trixie.mjs'

const { node, libraries } = muslNode('x86_64')
trixie('musl')
mkdirSync('target/cross/musl', { recursive: true })
const libgcc = readdirSync(libraries).find((name) => name.startsWith('libgcc_s'))!
copyFileSync(`${libraries}/${libgcc}`, 'target/cross/musl/libgcc_s.so.1')

const counts: [string, Count][] = []
for (const program of cross(musl(`${process.cwd()}/target/cross/musl`))) {
  const [command, ...args] = inTrixie(`LD_LIBRARY_PATH=${libraries}`, program)
  counts.push([program, await run(command!, args, cargo)])
}
const [command, ...args] = inTrixie(node, AVA, '--tap', ...process.argv.slice(2))
counts.push(['the suite on musl', await run(command!, args, tap)])
report(counts)
