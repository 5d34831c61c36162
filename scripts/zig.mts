// zig and cargo-zigbuild, from PyPI: they link for systems that are not this one.

import { execFileSync } from 'node:child_process'

import { debian } from './debian.mjs'

const PLACE = '.build/zig'

/** Installs them where nothing else looks, and returns a PATH that includes them. */
export function zig(): string {
  debian('python3-venv')
  execFileSync('python3', ['-m', 'venv', PLACE], { stdio: 'inherit' })
  const wheels = ['--quiet', '--require-hashes', '--only-binary', ':all:', '-r', '.ci/zig.txt']
  execFileSync(`${PLACE}/bin/pip`, ['install', ...wheels], { stdio: 'inherit' })
  return `${process.cwd()}/${PLACE}/bin:${process.env['PATH']}`
}
