import { spawnSync } from 'node:child_process'

import test, { type ExecutionContext } from 'ava'

/** What declares a test: `test` or `test.serial`. */
type Declare = (title: string, run: (t: ExecutionContext) => Promise<void> | void) => void

/** A reason to skip, when there is one. */
type Missing = string | false

/** Declares tests that are skipped, with the reason, where something they need is missing. */
export function needing(declare: Declare, ...needs: Missing[]): Declare {
  const missing = needs.filter((need) => need !== false)
  if (missing.length === 0) return declare
  return (title, run) => test.skip(`${title} [needs ${missing.join(', ')}]`, run)
}

export const linux: Missing = process.platform !== 'linux' && 'Linux'

export const unix: Missing = process.platform === 'win32' && 'Unix'

/** Tests of what Wine can't show; it may hold on Windows. */
export const notWine: Missing = 'WINELOADER' in process.env && 'a real Windows'

/** Not on the emulator of `check -- arm64`: qemu's user mode has no `openat2`, and its programs have qemu's name. */
export const notEmulated: Missing = 'ROOTLOCK_EMULATED' in process.env && 'a real processor'

/** Needed to become another user, or to mount. */
export const superuser: Missing = process.getuid?.() !== 0 && 'the superuser'

export const namespaces: Missing = !runs('unshare', '--mount', 'true') && 'mount namespaces'

export function tool(name: string, ...probe: string[]): Missing {
  return !runs(name, ...probe) && name
}

/** A program that has no harmless way to be tried. */
export function onPath(name: string): Missing {
  return !runs('sh', '-c', `command -v ${name}`) && name
}

function runs(command: string, ...args: string[]): boolean {
  return spawnSync(command, args, { stdio: 'ignore' }).status === 0
}
