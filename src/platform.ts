// Which native binding fits this process.

import { closeSync, existsSync, openSync, readSync } from 'node:fs'

import { isDenied } from './permission-model'

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
  try {
    return libcByFiles(arch)
  } catch (error) {
    // Node's permission model, where only the package may be read.
    if (!isDenied(error)) throw error
    return libcByReport()
  }
}

/** The same without a file; takes milliseconds. */
function libcByReport(): 'gnu' | 'musl' {
  // The type of Node 22 lacks it.
  const report = process.report as NodeJS.ProcessReport & { excludeNetwork: boolean }
  const before = report.excludeNetwork
  // Otherwise it asks name servers for the peer of each open socket.
  report.excludeNetwork = true
  try {
    const { header } = report.getReport() as { header: { glibcVersionRuntime?: string } }
    return header.glibcVersionRuntime === undefined ? 'musl' : 'gnu'
  } finally {
    report.excludeNetwork = before
  }
}

function libcByFiles(arch: string): 'gnu' | 'musl' {
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

/** The platform of this process. */
export const target = platformOf(process)
