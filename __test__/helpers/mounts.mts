import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { chmod, mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

import type { ExecutionContext } from 'ava'

import { child, program, type Child } from './child.mjs'
import { linux, namespaces, onPath, superuser, tool, type Missing } from './needing.mjs'
import { temporaryRoot } from './temporary-root.mjs'

export interface FileSystem {
  name: string
  /** What is missing here to mount one. */
  missing: Missing[]
  /** Shell commands that mount it at "$to"; "$folder" is the test's own. */
  mount: string
  /** Whether a request for a lock on it is answered at once, on the event loop's own thread. */
  local: boolean
}

const SFTP = '/usr/lib/openssh/sftp-server'

const fuse = !existsSync('/dev/fuse') && '/dev/fuse'

/** In an image in memory, so that a slow disk does not matter. */
function onDisk(name: string, megabytes: number, ...format: string[]): FileSystem {
  return {
    name,
    missing: [onPath(`mkfs.${name}`), unmountable(name)],
    mount: `
      mkdir "$folder/memory" && mount -t tmpfs none "$folder/memory"
      truncate -s ${megabytes}M "$folder/memory/image"
      mkfs.${name} ${format.join(' ')} "$folder/memory/image" >&2
      mount -o loop "$folder/memory/image" "$to"`,
    local: true
  }
}

export const FILE_SYSTEMS: FileSystem[] = [
  { name: 'tmpfs', missing: [], mount: 'mount -t tmpfs none "$to"', local: true },
  {
    name: 'overlay',
    missing: [unmountable('overlay')],
    // On tmpfs: an overlay can't lie on an overlay, which a container's root is.
    mount: `
      mkdir "$folder/memory" && mount -t tmpfs none "$folder/memory"
      cd "$folder/memory" && mkdir lower upper work
      mount -t overlay -o lowerdir=lower,upperdir=upper,workdir=work none "$to"`,
    local: true
  },
  onDisk('ext4', 64, '-q', '-F'),
  onDisk('xfs', 320, '-q', '-f'),
  onDisk('btrfs', 128, '-q', '-f'),
  {
    name: 'bindfs',
    missing: [fuse, onPath('bindfs')],
    mount: 'mkdir "$folder/from" && bindfs "$folder/from" "$to"',
    local: false
  },
  {
    name: 'sshfs',
    missing: [fuse, onPath('sshfs'), sftp()],
    mount: `mkdir "$folder/from" && sshfs -o ssh_command="$folder/ssh" "here:$folder/from" "$to"`,
    local: false
  },
  {
    name: 'ntfs-3g',
    missing: [fuse, onPath('mkntfs'), onPath('ntfs-3g')],
    mount: `
      truncate -s 32M "$folder/image" && mkntfs -q -F "$folder/image" >&2
      ntfs-3g "$folder/image" "$to"`,
    local: false
  },
  {
    name: 'exfat-fuse',
    missing: [fuse, onPath('mkfs.exfat'), onPath('mount.exfat-fuse'), onPath('losetup')],
    mount: `
      truncate -s 32M "$folder/image" && mkfs.exfat "$folder/image" >&2
      device=$(losetup --find --show "$folder/image")
      mount.exfat-fuse "$device" "$to" >&2
      losetup --detach "$device"`,
    local: false
  }
]

/** What every one of them needs. */
export const mounting = [linux, superuser, namespaces, tool('nsenter', '--version')]

export interface Mount {
  root: string
  /** The test's own, where there may be more. */
  folder: string
  /** Runs a command that sees what is mounted, and returns what it prints. */
  shell(command: string): string
  /** A fixture that sees what is mounted. */
  inside(name: string, input?: object): Child
}

/** Mounts a file system in a namespace of its own, which ends with the test. */
export async function mounted(t: ExecutionContext, { mount }: FileSystem): Promise<Mount> {
  const folder = await temporaryRoot(t)
  const root = join(folder, 'root')
  await mkdir(root)
  await writeFile(join(folder, 'ssh'), `#!/bin/sh\nexec ${SFTP}\n`)
  await chmod(join(folder, 'ssh'), 0o700)
  const script = `set -e; folder=$1 to=$2; ${mount}\ncd /; echo mounted; cat`
  const keeper = program(t, 'unshare', ['--mount', 'sh', '-c', script, 'sh', folder, root])
  await keeper.prints('mounted\n')
  const enter = ['nsenter', `--mount=/proc/${keeper.pid}/ns/mnt`]
  return {
    root,
    folder,
    shell: (command) =>
      execFileSync(enter[0]!, [enter[1]!, 'sh', '-c', command], { cwd: '/', encoding: 'utf8' }),
    inside: (name, input) => child(t, name, { root, ...input }, enter)
  }
}

function sftp(): Missing {
  return !existsSync(SFTP) && { program: 'sftp-server' }
}

/** Whether the kernel supports a file system. */
function unmountable(name: string): Missing {
  if (linux) return linux
  const known = spawnSync('grep', ['-qw', name, '/proc/filesystems'])
  return known.status !== 0 && `a kernel with ${name}`
}
