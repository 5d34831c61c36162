// Loads the native binding: finds the file for this platform, and says what to do if none fits.
//
// The loader that napi generates is not used: it reads `ldd` at every import, and its 36 KB of platforms
// that we do not build for take longer to load than everything else.

import { closeSync, existsSync, openSync, readSync } from 'node:fs'
import { dirname, join } from 'node:path'

import type * as Binding from '../binding'
import { explain, type Attempt } from './no-binding'
import { version } from './version'

export type * from '../binding'

/** The folder of this file; of the program in a bundle of ES modules, which has no `__dirname`. */
const here = typeof __dirname === 'string' ? __dirname : dirname(process.argv[1] ?? '.')

const target = platformOf(process)

export const {
  ASK_BLOCK,
  ASK_RECOVER,
  ASK_LOGGER,
  ASK_SHARED,
  ASK_NOTIFY,
  ASK_WAIT,
  DEFAULT_FILE_NAME,
  DEFAULT_HEARTBEAT_MS,
  DEFAULT_STALE_MS,
  MAX_FILE_NAME_BYTES,
  MIN_HEARTBEAT_MS,
  MIN_STALE_IN_HEARTBEATS,
  TOOK_OVER,
  absolutePath,
  acquire,
  blockRelease,
  cancel,
  closeRoot,
  diagnose,
  inspect,
  inspectSync,
  isWithin,
  lost,
  next,
  openEnvironment,
  openRoot,
  openRootSync,
  release
} = load()

function load(): typeof Binding {
  const attempts: Attempt[] = []
  for (const way of [beside, installed]) {
    const attempt = way()
    if (attempt.binding?.VERSION === version) return attempt.binding
    attempts.push(attempt)
  }
  throw explain(target, version, here, attempts)
}

/** The file beside this one: in a checkout, or copied beside a bundle or an executable. */
function beside(): Attempt {
  const what = join(here, `rootlock.${target}.node`)
  if (!existsSync(what)) return { what }
  try {
    const module = { exports: {} as typeof Binding }
    process.dlopen(module, what)
    return { what, binding: module.exports }
  } catch (error) {
    return { what, error }
  }
}

/** The platform's package: required by literal names that bundlers can follow, in a `try` so that they accept a missing one. */
function installed(): Attempt {
  const what = `@rootlock/binding-${target}`
  try {
    switch (target) {
      case 'darwin-arm64':
        return { what, binding: require('@rootlock/binding-darwin-arm64') }
      case 'darwin-x64':
        return { what, binding: require('@rootlock/binding-darwin-x64') }
      case 'freebsd-x64':
        return { what, binding: require('@rootlock/binding-freebsd-x64') }
      case 'linux-arm-gnueabihf':
        return { what, binding: require('@rootlock/binding-linux-arm-gnueabihf') }
      case 'linux-arm64-gnu':
        return { what, binding: require('@rootlock/binding-linux-arm64-gnu') }
      case 'linux-arm64-musl':
        return { what, binding: require('@rootlock/binding-linux-arm64-musl') }
      case 'linux-x64-gnu':
        return { what, binding: require('@rootlock/binding-linux-x64-gnu') }
      case 'linux-x64-musl':
        return { what, binding: require('@rootlock/binding-linux-x64-musl') }
      case 'win32-arm64-msvc':
        return { what, binding: require('@rootlock/binding-win32-arm64-msvc') }
      case 'win32-x64-msvc':
        return { what, binding: require('@rootlock/binding-win32-x64-msvc') }
    }
  } catch (error) {
    return { what, error }
  }
  return { what }
}

/** By napi's name: `linux-x64-musl`. */
function platformOf({ platform, arch }: NodeJS.Process): string {
  switch (platform) {
    case 'linux':
      return arch === 'arm' ? 'linux-arm-gnueabihf' : `linux-${arch}-${libc(arch)}`
    case 'win32':
      return `win32-${arch}-msvc`
    default:
      return `${platform}-${arch}`
  }
}

/**
 * The C library of this executable, by the loader that it names. An installed musl proves nothing; a
 * missing one does, and is quicker to check. Guessing is not safe: a library for glibc may seem to load
 * under musl.
 */
function libc(arch: string): 'gnu' | 'musl' {
  if (!existsSync(`/lib/ld-musl-${arch === 'arm64' ? 'aarch64' : 'x86_64'}.so.1`)) return 'gnu'
  const executable = openSync(process.execPath, 'r')
  try {
    return interpreter(executable).includes('/ld-musl-') ? 'musl' : 'gnu'
  } finally {
    closeSync(executable)
  }
}

/** From the program headers (elf(5), 64 bits, little endian): patchelf puts the name at the very end. */
function interpreter(executable: number): string {
  const INTERPRETER = 3
  const read = (length: number, position: number) => {
    const bytes = Buffer.alloc(length)
    readSync(executable, bytes, 0, length, position)
    return bytes
  }
  const header = read(64, 0)
  const size = header.readUInt16LE(54)
  const entries = read(size * header.readUInt16LE(56), Number(header.readBigUInt64LE(32)))
  for (let at = 0; at < entries.length; at += size) {
    if (entries.readUInt32LE(at) !== INTERPRETER) continue
    const [position, length] = [entries.readBigUInt64LE(at + 8), entries.readBigUInt64LE(at + 32)]
    return read(Number(length), Number(position)).toString('latin1')
  }
  return ''
}
