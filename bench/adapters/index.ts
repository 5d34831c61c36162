import type { Adapter } from '../adapter.js'
import { crossProcessLock } from './cross-process-lock.js'
import { floors } from './floor.js'
import { fsExt } from './fs-ext.js'
import { fsNativeExtensions, fsNativeExtensionsKept } from './fs-native-extensions.js'
import { lockfile } from './lockfile.js'
import { osLock } from './os-lock.js'
import { properLockfile } from './proper-lockfile.js'
import { rootlock, rootlockOpenRoot } from './rootlock.js'
import { seed } from './seed.js'
import { utilLinux } from './util-linux.js'

export const adapters: readonly Adapter[] = [
  rootlock,
  rootlockOpenRoot,
  fsExt,
  fsNativeExtensions,
  fsNativeExtensionsKept,
  osLock,
  seed,
  properLockfile,
  lockfile,
  crossProcessLock,
  utilLinux,
  ...floors
]

export function adapterNamed(name: string): Adapter {
  const found = adapters.find((adapter) => adapter.name === name)
  if (!found) throw new Error(`no adapter is called ${name}`)
  return found
}
