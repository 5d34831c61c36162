// Processes to which less is allowed than usual.

import { spawnSync } from 'node:child_process'
import { createRequire } from 'node:module'
import { dirname } from 'node:path'

import type { ExecutionContext } from 'ava'
import { tryLock, type LockError } from 'rootlock'

import { fixture, program, type Child } from './child.mjs'
import { inTime } from './eventually.mjs'
import { waiter } from './locks.mjs'
import { mustBlock } from './must-block.mjs'
import { onPath, type Missing } from './needing.mjs'

/** The folder of the package, and of these tests. */
export const home = dirname(createRequire(import.meta.url).resolve('rootlock/package.json'))

/**
 * Checks that a restricted process and this one exclude each other, wait for each other, and that the lock is free
 * when the restricted one is killed.
 *
 * @param inside starts the fixture `holder` for the root in a restricted process
 */
export async function isOneLock(
  t: ExecutionContext,
  root: string,
  inside: () => Child
): Promise<void> {
  const first = inside()
  const { token } = await first.says('held')
  await t.throwsAsync<LockError>(tryLock(root, { wait: false }), { code: 'ERR_LOCK_UNSUCCESSFUL' })
  const outside = waiter(t, root)
  await mustBlock(outside.lock)
  first.tell('unlock')
  t.false((await first.says('unlocked')).lost)
  const unlock = await inTime('the lock is handed to this process', outside.lock)
  t.true(unlock.token > token)

  const second = inside()
  await second.says('waiting')
  t.false(second.hasSaid('held'))
  t.false(unlock.signal.aborted)
  await unlock()
  t.true((await second.says('held')).token > unlock.token)

  const third = inside()
  await third.says('waiting')
  second.kill()
  await third.says('held')
  const next = waiter(t, root)
  await mustBlock(next.lock)
  third.kill()
  await (
    await inTime('a killed process frees the lock', next.lock)
  )()
}

/** The flag that switches Node's permission model on. */
export const permissionModel = process.allowedNodeEnvironmentFlags.has('--permission')
  ? '--permission'
  : '--experimental-permission'

export const withAddons: Missing =
  !process.allowedNodeEnvironmentFlags.has('--allow-addons') && 'a Node with --allow-addons'

/** Starts a fixture under Node's permission model. */
export function permitted(
  t: ExecutionContext,
  flags: string[],
  name: string,
  input: object
): Child {
  const line = [permissionModel, '--no-warnings', ...flags, fixture(name), JSON.stringify(input)]
  return program(t, process.execPath, line, ['ignore', 'pipe', 'pipe', 'ipc'])
}

/** Numbers of system calls, of x86-64 and of arm64. */
const CALLS = {
  openat2: [437, 437],
  statx: [332, 291],
  fcntl: [72, 25],
  flock: [73, 32],
  utimensat: [280, 88],
  fstatfs: [138, 44],
  fgetxattr: [193, 10],
  pidfd_open: [434, 434]
} as const

/** What a filter can refuse: `ofd` are the locks of open files, by `fcntl`. */
export type Refused = Exclude<keyof typeof CALLS, 'fcntl'> | 'ofd'

export const ERRNO = { ENOSYS: 38, EPERM: 1 } as const

const ARCHES: NodeJS.Architecture[] = ['x64', 'arm64']

const numberOf = (call: keyof typeof CALLS) => CALLS[call][ARCHES.indexOf(process.arch)]

/** Its arguments: an errno, the refused calls as JSON (a number, or that of `fcntl` with its commands), the command. */
const FILTER = `
import ctypes, json, os, struct, sys
errno, refused, command = int(sys.argv[1]), json.loads(sys.argv[2]), sys.argv[3:]
LOAD, EQUAL, RETURN = 0x20, 0x15, 0x06
NUMBER, SECOND_ARGUMENT, ALLOW, REFUSE = 0, 24, 0x7fff0000, 0x00050000 | errno
program = []
for number, operations in refused:
    # Jumps count the steps that are skipped.
    check = [(LOAD, 0, 0, SECOND_ARGUMENT)] if operations else []
    check += [(EQUAL, len(operations) - 1 - at, 0 if at + 1 < len(operations) else 1, operation)
              for at, operation in enumerate(operations)]
    check += [(RETURN, 0, 0, REFUSE)]
    program += [(LOAD, 0, 0, NUMBER), (EQUAL, 0, len(check), number)] + check
program += [(RETURN, 0, 0, ALLOW)]
code = ctypes.create_string_buffer(b''.join(struct.pack('HBBI', *step) for step in program))
filter = ctypes.create_string_buffer(struct.pack('HxxxxxxP', len(program), ctypes.addressof(code)))
libc = ctypes.CDLL(None, use_errno=True)
for call in ((38, 1, 0, 0, 0), (22, 2, ctypes.byref(filter), 0, 0)):
    if libc.prctl(*call) != 0:
        sys.exit('prctl: ' + os.strerror(ctypes.get_errno()))
# A filter that refuses nothing would prove nothing.
lock = ctypes.create_string_buffer(32)
for number, operations in refused:
    for operation in operations or [-1]:
        if libc.syscall(ctypes.c_long(number), -1, operation, lock, 0, 0) != -1 or ctypes.get_errno() != errno:
            sys.exit('not refused: %d' % number)
os.execvp(command[0], command)
`

/** A command line that runs the one that is appended to it under a filter of system calls. */
export function refusing(errno: number, ...calls: Refused[]): string[] {
  const OFD = [36, 37, 38]
  const refused = calls.map((call) =>
    call === 'ofd' ? [numberOf('fcntl'), OFD] : [numberOf(call), []]
  )
  return ['python3', '-c', FILTER, String(errno), JSON.stringify(refused)]
}

/** What is missing for filters, if something is. */
export const filters: Missing =
  process.platform !== 'linux'
    ? 'Linux'
    : !ARCHES.includes(process.arch)
      ? 'a processor whose system calls are known here'
      : onPath('python3') || (!filtersWork() && 'a kernel with seccomp filters')

function filtersWork(): boolean {
  const [command, ...args] = refusing(ERRNO.EPERM, 'openat2', 'ofd')
  return spawnSync(command!, [...args, 'true'], { stdio: 'ignore' }).status === 0
}
