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

/** musl's names of the processors that have another one in Node. */
const MUSL: Record<string, string> = {
  arm64: 'aarch64',
  loong64: 'loongarch64',
  ppc64: 'powerpc64le',
  x64: 'x86_64'
}

function libcByFiles(arch: string): 'gnu' | 'musl' {
  if (!existsSync(`/lib/ld-musl-${MUSL[arch] ?? arch}.so.1`)) return 'gnu'
  const executable = openSync(process.execPath, 'r')
  try {
    return interpreter(executable).includes('/ld-musl-') ? 'musl' : 'gnu'
  } finally {
    closeSync(executable)
  }
}

/** From the program headers (elf(5), 64 bits): patchelf puts the name at the very end. */
function interpreter(executable: number): string {
  const INTERPRETER = 3
  const read = (length: number, position: number) => {
    const bytes = new DataView(new ArrayBuffer(length))
    readSync(executable, bytes, 0, length, position)
    return bytes
  }
  const header = read(64, 0)
  const littleEndian = header.getUint8(5) === 1
  const offset = (of: DataView, at: number) => Number(of.getBigUint64(at, littleEndian))
  const size = header.getUint16(54, littleEndian)
  const entries = read(size * header.getUint16(56, littleEndian), offset(header, 32))
  for (let at = 0; at < entries.byteLength; at += size) {
    if (entries.getUint32(at, littleEndian) !== INTERPRETER) continue
    const name = read(offset(entries, at + 32), offset(entries, at + 8))
    return Buffer.from(name.buffer).toString('latin1')
  }
  return ''
}

/** The platform of this process. */
export const target = platformOf(process)
