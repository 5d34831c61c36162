// `npm run check -- arm64`, and so on for each of `KINDS`: builds for another processor, and runs the core's
// tests and the contract on a Node of that processor's under qemu's user mode; on arm64 the suite instead, of
// it the files that are named, if some are. A Node that is promised could not be had for armv7, ppc64 and
// s390x: an older one runs there.

import { existsSync, writeFileSync } from 'node:fs'
import { execFileSync } from 'node:child_process'

import { ARM64, ARM64_MUSL, ARMV7, cross, PPC64, RISCV64, S390X, type Target } from './cross.mjs'
import { muslNode } from './musl-node.mjs'
import { nodeBinary } from './node-versions.mjs'
import { cargo, CONTRACT, fileAlone, report, run, tap, testFiles, type Count } from './tests.mjs'
import { inTrixie, trixie, TRIXIE } from './trixie.mjs'

const BINFMT = '/proc/sys/fs/binfmt_misc'

interface Kind {
  target: Target
  node: string
  /** By qemu's name. */
  processor: string
  elf: Elf
  /** Where its libraries are. */
  env: Record<string, string>
  /** The command line that runs another one in an environment with its libc, if that is not here. */
  inside?: typeof inTrixie
  suite?: true
}

/** What the header of its programs says. */
interface Elf {
  bits: 32 | 64
  bigEndian?: true
  /** The processor's number (elf.h). */
  machine: number
}

const AARCH64: Pick<Kind, 'processor' | 'elf'> = {
  processor: 'aarch64',
  elf: { bits: 64, machine: 183 }
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
    processor: 'arm',
    elf: { bits: 32, machine: 40 },
    env: { QEMU_LD_PREFIX: '/usr/arm-linux-gnueabihf' }
  }),
  'arm64-musl': () => {
    trixie('musl:arm64')
    const { node, libraries } = muslNode('aarch64')
    return {
      ...AARCH64,
      target: ARM64_MUSL,
      node,
      env: { LD_LIBRARY_PATH: libraries },
      inside: inTrixie
    }
  },
  ppc64: () => ({
    target: PPC64,
    node: nodeBinary('20.11.0', 'linux-ppc64le'),
    processor: 'ppc64le',
    elf: { bits: 64, machine: 21 },
    env: { QEMU_LD_PREFIX: '/usr/powerpc64le-linux-gnu' }
  }),
  riscv64: () => {
    trixie('nodejs:riscv64')
    return {
      target: RISCV64,
      node: '/usr/bin/node',
      processor: 'riscv64',
      elf: { bits: 64, machine: 243 },
      env: {},
      inside: inTrixie
    }
  },
  s390x: () => ({
    target: S390X,
    node: nodeBinary('20.11.0', 'linux-s390x'),
    processor: 's390x',
    elf: { bits: 64, bigEndian: true, machine: 22 },
    env: { QEMU_LD_PREFIX: '/usr/s390x-linux-gnu' }
  })
}

const [name = '', ...named] = process.argv.slice(2)
const prepare = KINDS[name]
if (!prepare) throw new RangeError(`expected ${Object.keys(KINDS).join(', ')}, got ${name}`)

// Debian 12's does not know `openat2`, by which a lock by path is granted within the call.
trixie('qemu-user')
const { target, node, processor, elf, inside, suite, ...kind } = prepare()
const programs = cross(target)
const env = {
  ...kind.env,
  // An emulated processor is slow, so the terms that a holder must keep are longer there.
  ROOTLOCK_EMULATED: '1',
  // Where a process of this processor can take part, it does: the files mean the same to both.
  ...(!inside && { ROOTLOCK_OTHER_RUNTIME: JSON.stringify([process.execPath]) })
}

/** A program's first bytes, and which of their bits count. */
function header({ bits, bigEndian, machine }: Elf): [magic: Buffer, mask: Buffer] {
  const [EXECUTABLE, ANY_BUT_LOWEST] = [2, 0xfffe]
  const magic = Buffer.from(`\x7fELF`.padEnd(20, '\0'))
  const mask = Buffer.alloc(20, 0xff)
  magic.set([bits / 32, bigEndian ? 2 : 1, 1], 4)
  // Whatever system it names.
  mask[7] = 0
  const write = bigEndian ? magic.writeUInt16BE : magic.writeUInt16LE
  write.call(magic, EXECUTABLE, 16)
  write.call(magic, machine, 18)
  // A library is one more than an executable; those that can be anywhere say that they are one.
  write.call(mask, ANY_BUT_LOWEST, 16)
  return [magic, mask]
}

// Processes start others of their kind, so the kernel must know how, until the end of this script.
const escaped = (bytes: Buffer) => bytes.toString('hex').replace(/../g, String.raw`\x$&`)
const [magic, mask] = header(elf).map(escaped)
const entry = `${BINFMT}/rootlock-${name}`
if (!existsSync(`${BINFMT}/register`)) execFileSync('mount', ['-t', 'binfmt_misc', 'none', BINFMT])
if (!existsSync(entry)) {
  const qemu = `${TRIXIE}/usr/bin/qemu-${processor}`
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
