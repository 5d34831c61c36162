// Builds for another target with Debian's compiler, which has the sources of its standard library.

import { execFileSync } from 'node:child_process'
import { copyFileSync, mkdirSync, renameSync, writeFileSync } from 'node:fs'

import { debian } from './debian.mjs'
import { zig } from './zig.mjs'

export interface Target {
  triple: string
  /** Debian's packages that link for it. */
  packages: string[]
  /** Zig if there is none. */
  linker?: string
  flags?: string
  library: string
  /** The binding's name, as the loader looks for it. */
  binding: string
}

const FOLDER = 'target/cross'

export const WINDOWS: Target = {
  triple: 'x86_64-pc-windows-gnu',
  packages: ['gcc-mingw-w64-x86-64'],
  linker: 'x86_64-w64-mingw32-gcc',
  library: 'rootlock_napi.dll',
  binding: 'rootlock.win32-x64-msvc.node'
}

export const ARM64: Target = {
  triple: 'aarch64-unknown-linux-gnu',
  packages: ['gcc-aarch64-linux-gnu', 'libc6-dev-arm64-cross', 'libstdc++6-arm64-cross'],
  linker: 'aarch64-linux-gnu-gcc',
  library: 'librootlock_napi.so',
  binding: 'rootlock.linux-arm64-gnu.node'
}

export const ARMV7: Target = {
  triple: 'armv7-unknown-linux-gnueabihf',
  packages: ['gcc-arm-linux-gnueabihf', 'libc6-dev-armhf-cross', 'libstdc++6-armhf-cross'],
  linker: 'arm-linux-gnueabihf-gcc',
  library: 'librootlock_napi.so',
  binding: 'rootlock.linux-arm-gnueabihf.node'
}

export const ARM64_MUSL: Target = {
  triple: 'aarch64-unknown-linux-musl',
  packages: [],
  flags: '-C target-feature=-crt-static',
  library: 'librootlock_napi.so',
  binding: 'rootlock.linux-arm64-musl.node'
}

/** @param libraries where musl's libgcc_s is */
export function musl(libraries: string): Target {
  return {
    triple: 'x86_64-unknown-linux-musl',
    packages: ['musl-tools'],
    linker: 'musl-gcc',
    flags: `-C target-feature=-crt-static -C link-arg=-L${libraries}`,
    library: 'librootlock_napi.so',
    binding: 'rootlock.linux-x64-musl.node'
  }
}

/** Builds the binding, puts it where the loader looks, and returns the core's test programs. */
export function cross({
  triple,
  packages,
  linker,
  flags = '',
  library,
  binding
}: Target): string[] {
  debian('rustc-web', 'rust-web-src', ...packages)
  // napi's build script wants something to link on Windows, though all symbols are found at run time.
  const node = `${FOLDER}/libnode`
  mkdirSync(node, { recursive: true })
  writeFileSync(`${node}/libnode.dll`, '')
  writeFileSync(`${node}/libnode.a`, '!<arch>\n')
  const variable = triple.toUpperCase().replaceAll('-', '_')
  const env = {
    ...process.env,
    RUSTC: '/usr/bin/rustc',
    RUSTC_BOOTSTRAP: '1',
    CARGO_TARGET_DIR: FOLDER,
    LIBNODE_PATH: `${process.cwd()}/${node}`,
    ...(linker
      ? { [`CARGO_TARGET_${variable}_LINKER`]: linker }
      : { PATH: zig(), CARGO: '/usr/bin/cargo' }),
    [`CARGO_TARGET_${variable}_RUSTFLAGS`]: flags
  }
  const cargo = (command: string, ...args: string[]) =>
    execFileSync(
      linker ? '/usr/bin/cargo' : 'cargo-zigbuild',
      [
        linker || command === 'test' ? command : 'zigbuild',
        ...args,
        '--locked',
        '-Zbuild-std=std,panic_unwind',
        '--target',
        triple
      ],
      { env, stdio: ['ignore', 'pipe', 'inherit'], encoding: 'utf8', maxBuffer: 2 ** 28 }
    )
  cargo('build', '-p', 'rootlock-napi')
  // Renamed: whoever has the old one loaded would crash if it changed.
  copyFileSync(`${FOLDER}/${triple}/debug/${library}`, `${binding}.new`)
  renameSync(`${binding}.new`, binding)
  return cargo('test', '--no-run', '-p', 'rootlock', '--message-format=json')
    .split('\n')
    .flatMap((line) => {
      const { profile, executable } = (line ? JSON.parse(line) : {}) as {
        profile?: { test: boolean }
        executable?: string
      }
      return profile?.test && executable ? [executable.replace(`${process.cwd()}/`, '')] : []
    })
}
