// Builds for another target.

import { copyFileSync, mkdirSync, renameSync, writeFileSync } from 'node:fs'

import { debianCargo } from './debian-rust.mjs'
import { debian } from './debian.mjs'
import { CRATES } from './tests.mjs'
import { zig } from './zig.mjs'

export interface Target {
  triple: string
  /** Debian's packages that link for it. */
  packages: string[]
  /** Links with zig if there is none. */
  linker?: string
  flags?: string
  /** What cargo calls the binding. */
  library?: string
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
  binding: 'rootlock.linux-arm64-gnu.node'
}

export const ARMV7: Target = {
  triple: 'armv7-unknown-linux-gnueabihf',
  packages: ['gcc-arm-linux-gnueabihf', 'libc6-dev-armhf-cross', 'libstdc++6-armhf-cross'],
  linker: 'arm-linux-gnueabihf-gcc',
  binding: 'rootlock.linux-arm-gnueabihf.node'
}

export const S390X: Target = {
  triple: 's390x-unknown-linux-gnu',
  packages: ['gcc-s390x-linux-gnu', 'libc6-dev-s390x-cross', 'libstdc++6-s390x-cross'],
  linker: 's390x-linux-gnu-gcc',
  binding: 'rootlock.linux-s390x-gnu.node'
}

export const PPC64: Target = {
  triple: 'powerpc64le-unknown-linux-gnu',
  packages: ['gcc-powerpc64le-linux-gnu', 'libc6-dev-ppc64el-cross', 'libstdc++6-ppc64el-cross'],
  linker: 'powerpc64le-linux-gnu-gcc',
  binding: 'rootlock.linux-ppc64-gnu.node'
}

export const RISCV64: Target = {
  triple: 'riscv64gc-unknown-linux-gnu',
  packages: ['gcc-riscv64-linux-gnu', 'libc6-dev-riscv64-cross'],
  linker: 'riscv64-linux-gnu-gcc',
  binding: 'rootlock.linux-riscv64-gnu.node'
}

export const ARM64_MUSL: Target = {
  triple: 'aarch64-unknown-linux-musl',
  packages: [],
  flags: '-C target-feature=-crt-static',
  binding: 'rootlock.linux-arm64-musl.node'
}

/** @param libraries where musl's libgcc_s is */
export function musl(libraries: string): Target {
  return {
    triple: 'x86_64-unknown-linux-musl',
    packages: ['musl-tools'],
    linker: 'musl-gcc',
    flags: `-C target-feature=-crt-static -C link-arg=-L${libraries}`,
    binding: 'rootlock.linux-x64-musl.node'
  }
}

/** Builds both bindings, puts them where the loader looks, and returns the crates' test programs. */
export function cross({
  triple,
  packages,
  linker,
  flags = '',
  library = 'librootlock_napi.so',
  binding
}: Target): string[] {
  debian(...packages)
  // napi's build script wants a library to link on Windows, though all symbols are resolved at run time.
  const node = `${FOLDER}/libnode`
  mkdirSync(node, { recursive: true })
  writeFileSync(`${node}/libnode.dll`, '')
  writeFileSync(`${node}/libnode.a`, '!<arch>\n')
  const variable = `CARGO_TARGET_${triple.toUpperCase().replaceAll('-', '_')}`
  const env = {
    LIBNODE_PATH: `${process.cwd()}/${node}`,
    [`${variable}_RUSTFLAGS`]: flags,
    ...(linker ? { [`${variable}_LINKER`]: linker } : { PATH: zig() })
  }
  const [cargo, build] = linker
    ? (['/usr/bin/cargo', 'build'] as const)
    : (['cargo-zigbuild', 'zigbuild'] as const)
  const features = {
    [binding]: [],
    [binding.replace('rootlock', 'rootlock-remote')]: ['--features', 'remote']
  }
  for (const [name, wanted] of Object.entries(features)) {
    const built = ['-p', 'rootlock-napi', ...wanted, '--target', triple]
    debianCargo([cargo, build, ...built], FOLDER, env)
    // Renamed into place: a process that has the old one loaded would crash if it changed.
    copyFileSync(`${FOLDER}/${triple}/debug/${library}`, `${name}.new`)
    renameSync(`${name}.new`, name)
  }
  const tests = [...CRATES, '--target', triple, '--no-run', '--message-format=json']
  return (
    debianCargo([cargo, 'test', ...tests], FOLDER, env)
      .split('\n')
      .flatMap((line) => {
        const { profile, executable } = (line ? JSON.parse(line) : {}) as {
          profile?: { test: boolean }
          executable?: string
        }
        return profile?.test && executable ? [executable.replace(`${process.cwd()}/`, '')] : []
      })
      // Except the test that reads the sources, and those that start servers: neither is where they run.
      .filter((program) => !/\/(layers|etcd|postgres)-/.test(program))
  )
}
