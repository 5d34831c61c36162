// Loads the native binding for servers from the platform's package. rootlock requires this when a server is opened.

import type * as Binding from '../../binding'
import { explain, type Attempt } from '../../src/no-binding'
import { target } from '../../src/platform'
import { version } from '../../src/version'

const attempt = installed()
if (attempt.binding?.VERSION !== version) {
  const product = { name: 'rootlock-remote', packages: 'remote-' }
  throw explain(product, target, version, __dirname, [attempt])
}
module.exports = attempt.binding

/** Required by literal names that bundlers can follow, in a `try` so that they accept a missing one. */
function installed(): Attempt {
  const what = `@rootlock/remote-${target}`
  const found = (binding: unknown) => ({ what, binding: binding as typeof Binding })
  try {
    switch (target) {
      case 'darwin-arm64':
        return found(require('@rootlock/remote-darwin-arm64'))
      case 'darwin-x64':
        return found(require('@rootlock/remote-darwin-x64'))
      case 'freebsd-x64':
        return found(require('@rootlock/remote-freebsd-x64'))
      case 'linux-arm-gnueabihf':
        return found(require('@rootlock/remote-linux-arm-gnueabihf'))
      case 'linux-arm64-gnu':
        return found(require('@rootlock/remote-linux-arm64-gnu'))
      case 'linux-arm64-musl':
        return found(require('@rootlock/remote-linux-arm64-musl'))
      case 'linux-x64-gnu':
        return found(require('@rootlock/remote-linux-x64-gnu'))
      case 'linux-x64-musl':
        return found(require('@rootlock/remote-linux-x64-musl'))
      case 'win32-arm64-msvc':
        return found(require('@rootlock/remote-win32-arm64-msvc'))
      case 'win32-x64-msvc':
        return found(require('@rootlock/remote-win32-x64-msvc'))
    }
  } catch (error) {
    return { what, error }
  }
  return { what }
}
