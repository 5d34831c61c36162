// Debian 13 in a folder, for what is too old in Debian 12: Wine 10 and musl 1.2.5.

import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, renameSync, rmSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

import { debian } from './debian.mjs'

const HOME = fileURLToPath(new URL('../..', import.meta.url))
const PLACE = fileURLToPath(new URL('../trixie', import.meta.url))

/** Creates the folder, with packages in it, and says what it installs. */
export function trixie(...packages: string[]): void {
  debian('debootstrap')
  if (!existsSync(PLACE)) {
    console.log('installing Debian 13 under .build/trixie')
    const unfinished = `${PLACE}.${process.pid}`
    rmSync(unfinished, { recursive: true, force: true })
    execFileSync('debootstrap', ['--variant=minbase', 'trixie', unfinished], {
      stdio: ['ignore', 'ignore', 'inherit']
    })
    mkdirSync(`${unfinished}/rootlock`)
    renameSync(unfinished, PLACE)
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

/**
 * The command line that runs another one inside, in this project, which is at `/rootlock`. The
 * mounts are in a namespace of their own, and end with it.
 */
export function inTrixie(...command: string[]): string[] {
  const script = `
    mount --rbind /dev "$1/dev" && mount --bind /proc "$1/proc" &&
    mount -t tmpfs none "$1/tmp" && mount --bind "$2" "$1/rootlock" || exit
    in=$1; shift 2
    exec chroot "$in" env --chdir=/rootlock "$@"`
  const clean = ['-i', 'HOME=/root', 'LANG=C.UTF-8', 'PATH=/usr/bin:/bin:/usr/sbin:/usr/lib/wine']
  return ['unshare', '--mount', 'sh', '-c', script, 'sh', PLACE, HOME, ...clean, ...command]
}
