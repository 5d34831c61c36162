import { closeSync, openSync } from 'node:fs'
import path from 'node:path'

import type { Acquire, Adapter } from '../adapter.js'
import { installedVersion, require } from './package.js'

interface FsNativeExtensions {
  tryLock(fd: number): boolean
  waitForLock(fd: number): Promise<void>
  unlock(fd: number): void
}

const load = () => require('fs-native-extensions') as FsNativeExtensions

export const fsNativeExtensions: Adapter = {
  name: 'fs-native-extensions',
  how: 'open, `tryLock(fd)`, if refused `waitForLock(fd)` (a thread of its own per wait), `unlock(fd)`, close',
  module: 'fs-native-extensions',
  daily: true,
  excludesWithinProcess: true,
  abortable: false,
  version: () => installedVersion('fs-native-extensions'),
  async load(): Promise<Acquire> {
    const { tryLock, waitForLock, unlock } = load()
    return (root) => {
      const fd = openSync(path.join(root, '.lock'), 'a+')
      const release = () => {
        unlock(fd)
        closeSync(fd)
      }
      return tryLock(fd) ? release : waitForLock(fd).then(() => release)
    }
  }
}

export const fsNativeExtensionsKept: Adapter = {
  ...fsNativeExtensions,
  name: 'fs-native-extensions (fd kept)',
  how: '`tryLock(fd)` and `unlock(fd)` on one descriptor that stays open: two system calls',
  variant: true,
  async load(): Promise<Acquire> {
    const { tryLock, waitForLock, unlock } = load()
    const kept = new Map<string, number>()
    return (root) => {
      let fd = kept.get(root)
      if (fd === undefined) kept.set(root, (fd = openSync(path.join(root, '.lock'), 'a+')))
      const held = fd
      const release = () => unlock(held)
      return tryLock(held) ? release : waitForLock(held).then(() => release)
    }
  }
}
