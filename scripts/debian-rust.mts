// Debian's compiler, which has the sources of its standard library and so builds for every target.

import { execFileSync } from 'node:child_process'

import { debian } from './debian.mjs'

/**
 * Runs cargo, or cargo-zigbuild, with it, and returns the output.
 *
 * @param folder where it builds
 */
export function debianCargo(
  [command, ...args]: [string, ...string[]],
  folder: string,
  env: NodeJS.ProcessEnv
): string {
  debian('rustc-web', 'rust-web-src', 'cargo-web')
  return execFileSync(command, [...args, '--locked', '-Zbuild-std=std,panic_unwind'], {
    env: {
      ...process.env,
      CARGO: '/usr/bin/cargo',
      RUSTC: '/usr/bin/rustc',
      RUSTC_BOOTSTRAP: '1',
      CARGO_TARGET_DIR: folder,
      ...env
    },
    stdio: ['ignore', 'pipe', 'inherit'],
    encoding: 'utf8',
    maxBuffer: 2 ** 28
  })
}
