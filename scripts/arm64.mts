// `npm run test:arm64`: builds for arm64, and runs the core's tests and the suite on an arm64 Node
// under qemu's user mode; of the suite the files that are named, if some are.

import { existsSync, writeFileSync } from 'node:fs'
import { execFileSync } from 'node:child_process'

import { ARM64, cross } from './cross.mjs'
import { debian } from './debian.mjs'
import { nodeBinary } from './node-versions.mjs'
import { cargo, fileAlone, report, run, tap, testFiles, type Count } from './tests.mjs'

const BINFMT = '/proc/sys/fs/binfmt_misc'
const NAME = 'rootlock-aarch64'

debian('qemu-user-static')
const programs = cross(ARM64)
const node = nodeBinary('22.23.3', 'linux-arm64')
// An emulated processor is slow, and terms that a holder must keep are longer there.
const env = { QEMU_LD_PREFIX: '/usr/aarch64-linux-gnu', ROOTLOCK_EMULATED: '1' }

// Processes start others of their kind, so the kernel must know how; until the end of this.
if (!existsSync(`${BINFMT}/register`)) execFileSync('mount', ['-t', 'binfmt_misc', 'none', BINFMT])
const magic = String.raw`\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00`
const mask = String.raw`\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff`
if (!existsSync(`${BINFMT}/${NAME}`)) {
  writeFileSync(`${BINFMT}/register`, `:${NAME}:M::${magic}:${mask}:/usr/bin/qemu-aarch64-static:F`)
}

const counts: [string, Count][] = []
try {
  for (const program of programs) counts.push([program, await run(program, [], cargo, env)])
  for (const file of testFiles(process.argv.slice(2))) {
    console.log(`# ${file}`)
    counts.push([file, await run(node, [...fileAlone(file), '--timeout=5m'], tap, env)])
  }
} finally {
  writeFileSync(`${BINFMT}/${NAME}`, '-1')
}
report(counts)
