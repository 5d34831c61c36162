// Loads the native binding: finds the file for this platform, and says what to do if none fits.
//
// The loader that napi generates is not used: it reads `ldd` at every import, and its 36 KB of platforms
// that we do not build for take longer to load than everything else.

import type * as Binding from '../binding'
import { beside, here } from './beside'
import { explain, type Attempt, type Product } from './no-binding'
import { target } from './platform'
import { version } from './version'

export type * from '../binding'

const product: Product = { name: 'rootlock', packages: 'binding-' }

export const {
  ASK_BLOCK,
  ASK_RECOVER,
  ASK_LOGGER,
  ASK_SHARED,
  ASK_NOTIFY,
  ASK_WAIT,
  DEFAULT_FILE_NAME,
  DEFAULT_HEARTBEAT_MS,
  DEFAULT_STALE_MS,
  MAX_FILE_NAME_BYTES,
  MIN_HEARTBEAT_MS,
  MIN_STALE_IN_HEARTBEATS,
  TOOK_OVER,
  absolutePath,
  acquire,
  blockRelease,
  cancel,
  closeRoot,
  diagnose,
  inspect,
  inspectSync,
  isWithin,
  lost,
  next,
  openEnvironment,
  openRoot,
  openRootSync,
  release
} = load()

function load(): typeof Binding {
  const attempts: Attempt[] = []
  for (const way of [() => beside(product.name), installed]) {
    const attempt = way()
    if (attempt.binding?.VERSION === version) return attempt.binding
    attempts.push(attempt)
  }
  throw explain(product, target, version, here, attempts)
}

/** The platform's package: required by literal names that bundlers can follow, in a `try` so that they accept a missing one. */
function installed(): Attempt {
  const what = `@rootlock/binding-${target}`
  try {
    switch (target) {
      case 'darwin-arm64':
        return { what, binding: require('@rootlock/binding-darwin-arm64') }
      case 'darwin-x64':
        return { what, binding: require('@rootlock/binding-darwin-x64') }
      case 'freebsd-x64':
        return { what, binding: require('@rootlock/binding-freebsd-x64') }
      case 'linux-arm-gnueabihf':
        return { what, binding: require('@rootlock/binding-linux-arm-gnueabihf') }
      case 'linux-arm64-gnu':
        return { what, binding: require('@rootlock/binding-linux-arm64-gnu') }
      case 'linux-arm64-musl':
        return { what, binding: require('@rootlock/binding-linux-arm64-musl') }
      case 'linux-x64-gnu':
        return { what, binding: require('@rootlock/binding-linux-x64-gnu') }
      case 'linux-x64-musl':
        return { what, binding: require('@rootlock/binding-linux-x64-musl') }
      case 'win32-arm64-msvc':
        return { what, binding: require('@rootlock/binding-win32-arm64-msvc') }
      case 'win32-x64-msvc':
        return { what, binding: require('@rootlock/binding-win32-x64-msvc') }
    }
  } catch (error) {
    return { what, error }
  }
  return { what }
}
