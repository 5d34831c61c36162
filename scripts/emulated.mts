// `npm run check -- arm64`, `check -- armv7`, `check -- arm64-musl`: builds for another processor, and runs the core's tests and the
// suite on a Node of that processor's under qemu's user mode; of the suite the files that are named, if
// some are. For armv7 no promised Node could be had: an older one runs the contract, as the musl one does.

import { existsSync, writeFileSync } from 'node:fs'
import { execFileSync } from 'node:child_process'

import { ARM64, ARM64_MUSL, ARMV7, cross, type Target } from './cross.mjs'
import { debian } from './debian.mjs'
import { muslNode } from './musl-node.mjs'
import { nodeBinary } from './node-versions.mjs'
import { cargo, CONTRACT, fileAlone, report, run, tap, testFiles, type Count } from './tests.mjs'
import { inTrixie, trixie } from './trixie.mjs'

const BINFMT = '/proc/sys/fs/binfmt_misc'

interface Kind {
  target: Target
  node: string
  qemu: string
  /** From its ELF header: the width, and the processor's number. */
  elf: [width: string, machine: string]
  /** Where its libraries are. */
  env: Record<string, string>
  /** The command line that runs another one in an environment with its libc, if that is not here. */
  inside?: typeof inTrixie
  suite: boolean
}

const AARCH64: Pick<Kind, 'qemu' | 'elf'> = {
  qemu: '/usr/bin/qemu-aarch64-static',
  elf: ['02', 'b7']
}

/** Each installs what it needs. */
const KINDS: Record<string, () => Kind> = {
  arm64: () => ({
    ...AARCH64,
    target: ARM64,
    node: nodeBinary('22.23.3', 'linux-arm64'),
    env: { QEMU_LD_PREFIX: '/usr/aarch64-linux-gnu' },
    suite: true
  }),
  armv7: () => ({
    target: ARMV7,
    node: nodeBinary('20.11.0', 'linux-armv7l'),
    qemu: '/usr/bin/qemu-arm-static',
    elf: ['01', '28'],
    env: { QEMU_LD_PREFIX: '/usr/arm-linux-gnueabihf' },
    suite: false
  }),
  'arm64-musl': () => {
    trixie('musl:arm64')
    const { node, libraries } = muslNode('aarch64')
    return {
      ...AARCH64,
      target: ARM64_MUSL,
      node,
      env: { LD_LIBRARY_PATH: libraries },
      inside: inTrixie,
      suite: false
    }
  }
}

const [name = '', ...named] = process.argv.slice(2)
const prepare = KINDS[name]
if (!prepare) throw new RangeError(`expected ${Object.keys(KINDS).join(', ')}, got ${name}`)

debian('qemu-user-static')
const { target, node, qemu, elf, inside, suite, ...kind } = prepare()
const programs = cross(target)
// An emulated processor is slow, so the terms that a holder must keep are longer there.
const env = { ...kind.env, ROOTLOCK_EMULATED: '1' }

// Processes start others of their kind, so the kernel must know how, until the end of this script.
const [width, machine] = elf
const zeros = String.raw`\x00`.repeat(8)
const magic = String.raw`\x7fELF\x${width}\x01\x01\x00${zeros}\x02\x00\x${machine}\x00`
const mask = String.raw`\xff\xff\xff\xff\xff\xff\xff\x00${String.raw`\xff`.repeat(8)}\xfe\xff\xff\xff`
const entry = `${BINFMT}/rootlock-${name}`
if (!existsSync(`${BINFMT}/register`)) execFileSync('mount', ['-t', 'binfmt_misc', 'none', BINFMT])
if (!existsSync(entry)) {
  writeFileSync(`${BINFMT}/register`, `:rootlock-${name}:M::${magic}:${mask}:${qemu}:F`)
}

function test(program: string[], read: typeof tap): Promise<Count> {
  const words = Object.entries(env).map(([variable, value]) => `${variable}=${value}`)
  const [command, ...args] = inside ? inside(...words, ...program) : program
  return run(command!, args, read, inside ? {} : env)
}

const counts: [string, Count][] = []
try {
  for (const program of programs) counts.push([program, await test([program], cargo)])
  if (!suite) counts.push(['the contract', await test([node, CONTRACT], tap)])
  for (const file of suite ? testFiles(named) : []) {
    console.log(`# ${file}`)
    counts.push([file, await test([node, ...fileAlone(file), '--timeout=5m'], tap)])
  }
} finally {
  writeFileSync(entry, '-1')
}
report(counts)
