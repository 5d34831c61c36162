// `npm run check -- darwin`: builds and links the binding for both kinds of Mac, as it is released but
// for its symbols, on Debian. Nothing here runs it; only its format and its imports are checked.

import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'

import { debianCargo } from './debian-rust.mjs'
import { debian } from './debian.mjs'
import { zig } from './zig.mjs'

const FOLDER = 'target/darwin'
/** The processors' numbers: cputype of `mach-o/loader.h`. */
const PROCESSORS = { aarch64: 0x0100000c, x86_64: 0x01000007 }
const [MAGIC, DYLIB] = [0xfeedfacf, 6]

debian('llvm')

const env = {
  PATH: zig(),
  // Debian's compiler strips Mach-O files with a program that it does not include.
  CARGO_PROFILE_RELEASE_STRIP: 'none'
}
for (const [processor, cputype] of Object.entries(PROCESSORS)) {
  const triple = `${processor}-apple-darwin`
  const build = ['--release', '--target', triple, '-p', 'rootlock-napi']
  debianCargo(['cargo-zigbuild', 'zigbuild', ...build], FOLDER, env)
  const file = `${FOLDER}/${triple}/release/librootlock_napi.dylib`
  check(file, cputype)
  console.log(`${file}: linked; all it wants is libSystem's`)
}

function check(file: string, cputype: number): void {
  const words = readFileSync(file)
  const [is, expected] = [[0, 4, 12].map((at) => words.readUInt32LE(at)), [MAGIC, cputype, DYLIB]]
  if (is.join() !== expected.join()) {
    throw new Error(`${file}: its header says ${is.join()} and not ${expected.join()}`)
  }
  const beginning = / external _napi_register_module_v1$/m
  if (!beginning.test(names(file, '--defined-only'))) {
    throw new Error(`${file}: Node would not find its beginning`)
  }
  // Node's functions are found by dlsym. The linker accepts undefined symbols, and marks them so.
  const wanted = names(file, '--undefined-only').trimEnd().split('\n')
  const unknown = wanted.filter((line) => !line.endsWith(' (from libSystem)'))
  if (unknown.length > 0) throw new Error(`${file} wants\n${unknown.join('\n')}`)
}

/** With the libraries that they come from, in Darwin's notation. */
function names(file: string, which: string): string {
  const how = ['-m', '--extern-only', which, file]
  return execFileSync('llvm-nm', how, { encoding: 'utf8', maxBuffer: 2 ** 26 })
}
