import test, { type ExecutionContext } from 'ava'

import { runs, type Missing } from './missing.mjs'

export { onPath, tool, type Missing } from './missing.mjs'

/** What declares a test: `test` or `test.serial`. */
type Declare = (title: string, run: (t: ExecutionContext) => Promise<void> | void) => void

/** Set where all programs are installed (`.ci/packages`): that one is missing is a failure there. */
const installed = 'ROOTLOCK_ALL_PROGRAMS' in process.env

/** Declares tests that are skipped, with the reason, where something they need is missing. */
export function needing(declare: Declare, ...needs: Missing[]): Declare {
  const missing = needs.filter((need) => need !== false)
  if (missing.length === 0) return declare
  const names = missing.map((need) => (typeof need === 'string' ? need : need.program)).join(', ')
  if (installed && missing.every((need) => typeof need !== 'string')) {
    return (title) => declare(title, (t) => t.fail(`needs ${names}: add it to .ci/packages`))
  }
  return (title, run) => test.skip(`${title} [needs ${names}]`, run)
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
