import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { lstat, mkdir, readdir, readFile, readlink, symlink, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'

import test, { type ExecutionContext } from 'ava'
import { inspect, LockError, tryLock, tryRLock } from 'rootlock'

import { inTime } from '../helpers/eventually.mjs'
import { needing, unix } from '../helpers/needing.mjs'
import { temporaryRoot } from '../helpers/temporary-root.mjs'

interface Thing {
  code: string
  /** Creates it in the place; it may point to something in a directory beside the root. */
  make(t: ExecutionContext, place: string, target: string): Promise<void>
  /** It is unchanged. */
  isLeftAlone(place: string, target: string): Promise<boolean>
}

const things: Record<string, Thing> = {
  'a directory': {
    code: 'EISDIR',
    make: async (_t, place) => void (await mkdir(place)),
    isLeftAlone: async (place) => (await readdir(place)).length === 0
  },
  'a FIFO': {
    code: 'EINVAL',
    make: async (_t, place) => void execFileSync('mkfifo', [place]),
    isLeftAlone: async (place) => (await lstat(place)).isFIFO()
  },
  'a socket': {
    code: 'ENXIO',
    async make(t, place) {
      const server = createServer().listen(place)
      t.teardown(() => void server.close())
      await once(server, 'listening')
    },
    isLeftAlone: async (place) => (await lstat(place)).isSocket()
  },
  'a symbolic link to a file': {
    code: 'ELOOP',
    async make(_t, place, target) {
      await writeFile(target, 'precious')
      await symlink(target, place)
    },
    isLeftAlone: async (place, target) =>
      (await readlink(place)) === target && (await readFile(target, 'utf8')) === 'precious'
  },
  'a symbolic link to nowhere': {
    code: 'ELOOP',
    make: (_t, place, target) => symlink(target, place),
    isLeftAlone: async (place, target) =>
      (await readlink(place)) === target && !(await readdir(join(target, '..'))).includes('target')
  },
  'a symbolic link to a device': {
    code: 'ELOOP',
    make: (_t, place) => symlink('/dev/null', place),
    isLeftAlone: async (place) => (await readlink(place)) === '/dev/null'
  }
}

for (const name of ['.lock', '.lock.guard']) {
  for (const [what, { code, make, isLeftAlone }] of Object.entries(things)) {
    needing(test, unix)(
      `${what} in the place of ${name} is an error, and left alone`,
      async (t) => {
        const parent = await temporaryRoot(t)
        const root = join(parent, 'root')
        await mkdir(root)
        const [place, target] = [join(root, name), join(parent, 'target')]
        await make(t, place, target)
        for (const lock of [
          () => tryLock(root),
          () => tryRLock(root),
          () => tryLock(root, { wait: false }),
          () => tryLock(root, { recover: false })
        ]) {
          const error = await t.throwsAsync<LockError>(inTime('it is refused', lock()), {
            instanceOf: LockError,
            code: 'ERR_LOCK_UNSUCCESSFUL',
            message: /^could not lock store: /
          })
          const cause = error.cause as NodeJS.ErrnoException
          t.is(cause.code, code)
          t.is(cause.path, place)
          t.is(cause.syscall, 'open')
          t.is(error.path, place)
        }
        t.true(await isLeftAlone(place, target))
      }
    )
  }
}

for (const [what, { make, isLeftAlone }] of Object.entries(things)) {
  needing(test, unix)(`inspect does not follow or wait for ${what}`, async (t) => {
    const parent = await temporaryRoot(t)
    const root = join(parent, 'root')
    await mkdir(root)
    const [place, target] = [join(root, '.lock'), join(parent, 'target')]
    await make(t, place, target)
    await t.throwsAsync(inTime('it is refused', inspect(root)), {
      instanceOf: LockError,
      code: 'ERR_LOCK_UNSUCCESSFUL'
    })
    t.true(await isLeftAlone(place, target))
  })
}
