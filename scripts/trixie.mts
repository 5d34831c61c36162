// Debian 13 in a folder, for what is too old in Debian 12: Wine 10, qemu 10, musl 1.2.5 and Node.

import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, renameSync, rmSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

import { debian } from './debian.mjs'
import { inRoot } from './in-root.mjs'

/** Where it is. */
export const TRIXIE = fileURLToPath(new URL('../trixie', import.meta.url))

/** Creates the folder, with packages in it, and says what it installs. */
export function trixie(...packages: string[]): void {
  debian('debootstrap')
  if (!existsSync(TRIXIE)) {
    console.log('installing Debian 13 under .build/trixie')
    const unfinished = `${TRIXIE}.${process.pid}`
    rmSync(unfinished, { recursive: true, force: true })
    execFileSync('debootstrap', ['--variant=minbase', 'trixie', unfinished], {
      stdio: ['ignore', 'ignore', 'inherit']
    })
    mkdirSync(`${unfinished}/rootlock`)
    renameSync(unfinished, TRIXIE)
  }
  const shell = inTrixie('sh', '-c', `dpkg -s ${packages.join(' ')}`)
  if (spawnSync(shell[0]!, shell.slice(1), { stdio: 'ignore' }).status === 0) return
  console.log(`installing in Debian 13: ${packages.join(' ')}`)
  // `musl:arm64` is another processor's.
  const others = packages.flatMap((name) => name.split(':').slice(1))
  const add = others.map((processor) => `dpkg --add-architecture ${processor}; `).join('')
  const apt = `export DEBIAN_FRONTEND=noninteractive; ${add}apt-get -qq update && apt-get -qq install -y --no-install-recommends ${packages.join(' ')}`
  const install = inTrixie('sh', '-c', apt)
  execFileSync(install[0]!, install.slice(1), { stdio: ['ignore', 'ignore', 'inherit'] })
}

/** The command line that runs another one inside, in this project, which is at `/rootlock`. */
export function inTrixie(...command: string[]): string[] {
  return inRoot(TRIXIE, 'PATH=/usr/bin:/bin:/usr/sbin:/usr/lib/wine', ...command)
}
