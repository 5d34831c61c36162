// Where less is allowed than usual: the lock works as everywhere, or says what is missing.

import { chmod } from 'node:fs/promises'
import cluster from 'node:cluster'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'

import test, { type ExecutionContext } from 'ava'
import { tryLock } from 'rootlock'

import { fixture, program, type Child } from '../helpers/child.mjs'
import { inTime } from '../helpers/eventually.mjs'
import { linux, namespaces, needing, onPath, superuser, tool } from '../helpers/needing.mjs'
import { temporaryRoot } from '../helpers/temporary-root.mjs'

const node = process.execPath
const home = dirname(createRequire(import.meta.url).resolve('rootlock/package.json'))

/** A command line that runs another one where less is allowed. */
type Restriction = (command: string[]) => string[]

/** Starts a process that holds the lock. */
function holder(
  t: ExecutionContext,
  root: string,
  restricted: Restriction = (line) => line
): Child {
  const [command, ...args] = restricted([node, fixture('hold'), root])
  return program(t, command!, args)
}

const release = ({ process: { stdin } }: Child) => void stdin!.end()

/** Restricted and other processes exclude each other, wait, are handed the lock, and free it when they are killed. */
async function works(t: ExecutionContext, root: string, restricted: Restriction): Promise<void> {
  const first = holder(t, root, restricted)
  await first.prints('held ')
  await t.throwsAsync(tryLock(root, { wait: false }), { code: 'ERR_LOCK_UNSUCCESSFUL' })
  const second = holder(t, root)
  await second.prints('waiting')
  release(first)
  await first.prints('unlocked')
  t.regex(first.printed, /^state exclusive$/m)
  await second.prints('held ')
  const third = holder(t, root, restricted)
  await third.prints('waiting')
  release(second)
  await third.prints('held ')
  const tokens = [first, second, third].map(({ printed }) => Number(/held (\d+)/.exec(printed)![1]))
  t.true(tokens[0]! < tokens[1]! && tokens[1]! < tokens[2]!, String(tokens))
  const next = tryLock(root)
  // The wrapper may be another process than its program.
  third.kill()
  release(third)
  await (
    await inTime('a killed process frees the lock', next)
  )()
  for (const { printed } of [first, second, third]) t.notRegex(printed, /lost|failed/)
}

const flag = (name: string) => process.allowedNodeEnvironmentFlags.has(name)

const permission = flag('--permission') ? '--permission' : '--experimental-permission'

needing(test, !flag('--allow-addons') && 'a Node with --allow-addons')(
  'under the permission model, addons and the package have to be allowed',
  async (t) => {
    const root = await temporaryRoot(t)
    // Of two that overlap, Node 20 dies.
    const read = [`--allow-fs-read=${home}*`]
    await works(t, root, ([command, ...args]) => [
      command!,
      permission,
      '--no-warnings',
      '--allow-addons',
      ...read,
      ...args
    ])
  }
)

needing(
  test,
  linux,
  superuser,
  namespaces
)('on a read-only mount it says so', async (t) => {
  const root = await temporaryRoot(t)
  const mount = 'mount --bind "$0" "$0" && mount -o remount,ro,bind "$0" && exec "$@"'
  const restricted: Restriction = (line) => ['unshare', '--mount', 'sh', '-c', mount, root, ...line]
  const refused = holder(t, root, restricted)
  await refused.prints('failed')
  t.regex(refused.printed, /EROFS: read-only file system/)
  const script = `import { inspect } from 'rootlock'
    console.log((await inspect(${JSON.stringify(root)})).state)`
  const [command, ...args] = restricted([node, '--input-type=module', '--eval', script])
  const look = program(t, command!, args)
  await look.ends()
  t.is(look.printed, 'free\n')
})

needing(
  test,
  linux,
  superuser,
  namespaces
)('a read-only system with one directory to write to is enough', async (t) => {
  const root = await temporaryRoot(t)
  // Nothing else is written, not even in /tmp.
  const mounts =
    'mount --bind "$0" "$0" && mount -o remount,ro,bind / && mount -t tmpfs -o ro tmpfs /dev/shm && exec "$@"'
  await works(t, root, (line) => ['unshare', '--mount', 'sh', '-c', mounts, root, ...line])
})

needing(
  test,
  linux,
  tool('unshare', '--user', '--map-root-user', 'true')
)('a user name space of its own', async (t) => {
  const root = await temporaryRoot(t)
  await works(t, root, (line) => ['unshare', '--user', '--map-root-user', ...line])
})

needing(
  test,
  linux,
  superuser,
  namespaces
)('a system without /proc', async (t) => {
  const root = await temporaryRoot(t)
  const hide = 'mount -t tmpfs tmpfs /proc && exec "$@"'
  await works(t, root, (line) => ['unshare', '--mount', 'sh', '-c', hide, 'sh', ...line])
})

needing(
  test,
  linux,
  superuser,
  namespaces,
  onPath('setpriv')
)('a /proc that hides the processes of others', async (t) => {
  const root = await temporaryRoot(t)
  await chmod(root, 0o777)
  // Nothing is hidden from the group root.
  const ids = '--reuid=65534 --regid=65534 --clear-groups'
  const hide = `mount -t proc -o hidepid=2 proc /proc && exec setpriv ${ids} "$@"`
  const first = holder(t, root)
  await first.prints('held ')
  // Another user's lock, which that user lets everybody have.
  for (const name of ['.lock', '.lock.guard']) await chmod(join(root, name), 0o666)
  const [command, ...args] = ['unshare', '--mount', 'sh', '-c', hide, 'sh']
  const other = program(t, command!, [...args, node, fixture('hold'), root])
  await other.prints('waiting')
  release(first)
  await other.prints('held ')
  await t.throwsAsync(tryLock(root, { wait: false }), { code: 'ERR_LOCK_UNSUCCESSFUL' })
  release(other)
  await other.prints('unlocked')
})

/** Runs a command under a filter of system calls, by Python alone. */
const SECCOMP = `
import ctypes, os, struct, sys
errno, calls, command = int(sys.argv[1]), sys.argv[2], sys.argv[3:]
OFD = (36, 37, 38)
LD, JEQ, RET = 0x20, 0x15, 0x06
ALLOW, REFUSE = 0x7fff0000, 0x00050000 | errno
program = []
numbers = {'openat2': 437, 'statx': 332, 'pidfd_open': 434}
if calls == 'ofd':
    program += [(LD, 0, 0, 0), (JEQ, 0, 5, 72), (LD, 0, 0, 24)]
    program += [(JEQ, 2 - at, 0 if at < 2 else 1, number) for at, number in enumerate(OFD)]
    program += [(RET, 0, 0, REFUSE), (RET, 0, 0, ALLOW)]
else:
    program += [(LD, 0, 0, 0), (JEQ, 0, 1, numbers[calls]), (RET, 0, 0, REFUSE), (RET, 0, 0, ALLOW)]
code = b''.join(struct.pack('HBBI', *step) for step in program)
buffer = ctypes.create_string_buffer(code)
filter = ctypes.create_string_buffer(struct.pack('HxxxxxxP', len(program), ctypes.addressof(buffer)))
libc = ctypes.CDLL(None, use_errno=True)
assert libc.prctl(38, 1, 0, 0, 0) == 0
assert libc.prctl(22, 2, ctypes.byref(filter), 0, 0) == 0, os.strerror(ctypes.get_errno())
os.execvp(command[0], command)
`

/** Whether the filter does what it should: the number that a call is refused with. */
const PROBE = `
import ctypes, fcntl, os, sys
libc = ctypes.CDLL(None, use_errno=True)
call = {'openat2': 437, 'statx': 332, 'pidfd_open': 434}.get(sys.argv[1])
if call is None:
    lock = ctypes.create_string_buffer(32)
    for number in (36, 37, 38):
        assert libc.fcntl(0, number, lock) == -1
        print(ctypes.get_errno())
else:
    assert libc.syscall(call, -1, 0, 0, 0, 0) == -1
    print(ctypes.get_errno())
`

const x64 = process.arch !== 'x64' && 'an x64 processor'

for (const [call, errnos] of Object.entries({
  openat2: { ENOSYS: 38, EPERM: 1 },
  statx: { ENOSYS: 38, EPERM: 1 },
  ofd: { ENOSYS: 38, EPERM: 1, EINVAL: 22 },
  pidfd_open: { ENOSYS: 38, EPERM: 1 }
})) {
  for (const [name, errno] of Object.entries(errnos)) {
    needing(
      test,
      linux,
      x64,
      onPath('python3')
    )(`a filter that answers ${call} with ${name}`, async (t) => {
      const filtered: Restriction = (line) => {
        return ['python3', '-c', SECCOMP, String(errno), call, ...line]
      }
      const [command, ...args] = filtered(['python3', '-c', PROBE, call])
      const probe = program(t, command!, args)
      await probe.ends()
      t.regex(probe.printed, new RegExp(`^(${errno}\\n)+$`))
      await works(t, await temporaryRoot(t), filtered)
    })
  }
}

/** A worker of a cluster that holds the lock. */
function fork() {
  const { process: started } = cluster.fork()
  let printed = ''
  started.stdout!.on('data', (data: Buffer) => (printed += String(data)))
  const says = async (text: string) => {
    while (!printed.includes(text)) {
      await inTime(`it says ${text}`, new Promise((go) => started.stdout!.once('data', go)))
    }
  }
  return { pid: started.pid, kill: (signal: NodeJS.Signals) => started.kill(signal), says }
}

test('workers of a cluster exclude each other, and one that is killed frees the lock', async (t) => {
  const root = await temporaryRoot(t)
  cluster.setupPrimary({ exec: fixture('hold'), args: [root], silent: true })
  t.teardown(() => {
    for (const worker of Object.values(cluster.workers ?? {})) worker?.process.kill('SIGKILL')
  })
  const first = fork()
  await first.says('held')
  const second = fork()
  await second.says(`waiting for ${first.pid}`)
  first.kill('SIGKILL')
  await second.says('held')
  await t.throwsAsync(tryLock(root, { wait: false }), { code: 'ERR_LOCK_UNSUCCESSFUL' })
  const next = tryLock(root)
  // As process managers do: first in order, then by force.
  second.kill('SIGINT')
  await (
    await inTime('it is free', next)
  )()
})
