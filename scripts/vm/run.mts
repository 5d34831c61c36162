// `npm run check -- vm [scenario…]`: what a developer's own machine can't provide, in a small virtual
// one: a real sleep of the whole machine, and real NFS and SMB servers with two clients each.
//
// It runs on Debian, as root, and installs what it needs; the machine's kernel is Debian's too. Without
// KVM it is slow, but the same.

import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { copyFileSync, existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

import { debian } from '../debian.mjs'

const KERNEL = 'linux-image-6.1.0-50-amd64'
const SCENARIOS = ['suspend', 'nfs', 'smb']
/** Modules of the first step, in the order of their dependencies. */
const MODULES = ['virtio', 'virtio_ring', 'virtio_pci_legacy_dev', 'virtio_pci_modern_dev']
MODULES.push('virtio_pci', 'netfs', 'fscache', '9pnet', '9pnet_virtio', '9p')

const project = fileURLToPath(new URL('../../..', import.meta.url)).replace(/\/$/, '')
const place = join(project, '.build/vm')
const kernel = join(place, 'kernel')

function fetchKernel(): void {
  if (existsSync(join(kernel, 'lib'))) return
  mkdirSync(kernel, { recursive: true })
  execFileSync('apt-get', ['download', KERNEL], { cwd: place, stdio: 'inherit' })
  const deb = readdirSync(place).find((name) => name.startsWith(KERNEL))!
  execFileSync('dpkg-deb', ['-x', join(place, deb), kernel])
  execFileSync('depmod', ['-b', kernel, version()])
}

const version = () => readdirSync(join(kernel, 'lib/modules'))[0]!

/** The first file system: busybox, the modules that reach the rest, and `init.sh`. */
function buildInitramfs(): string {
  const root = join(place, 'initramfs')
  rmSync(root, { recursive: true, force: true })
  mkdirSync(join(root, 'bin'), { recursive: true })
  mkdirSync(join(root, 'lib'))
  copyFileSync('/bin/busybox', join(root, 'bin/busybox'))
  execFileSync('ln', ['-s', 'busybox', join(root, 'bin/sh')])
  copyFileSync(join(project, 'scripts/vm/init.sh'), join(root, 'init'))
  execFileSync('chmod', ['+x', join(root, 'init')])
  const known = execFileSync('find', [join(kernel, 'lib/modules'), '-name', '*.ko'], {
    encoding: 'utf8'
  })
  for (const module of MODULES) {
    const found = known.split('\n').find((path) => basename(path) === `${module}.ko`)
    if (!found) throw new Error(`the kernel has no module ${module}`)
    copyFileSync(found, join(root, 'lib', `${module}.ko`))
  }
  writeFileSync(join(root, 'modules'), MODULES.map((module) => `${module}.ko\n`).join(''))
  const image = join(place, 'initramfs.cpio')
  execFileSync('sh', ['-c', `find . | busybox cpio -o -H newc > ${image} 2>/dev/null`], {
    cwd: root
  })
  return image
}

/** Boots a machine that runs one scenario. */
async function boot(scenario: string, initramfs: string): Promise<boolean> {
  const accelerator = process.env['VM_ACCEL'] ?? 'tcg,thread=multi'
  const command = `console=ttyS0 quiet panic=-1 no_console_suspend scenario=${scenario} project=${project} modules=.build/vm/kernel`
  const options = [
    `-accel ${accelerator} -cpu max -smp 2 -m 2048 -nographic -no-reboot`,
    `-kernel ${join(kernel, 'boot', `vmlinuz-${version()}`)} -initrd ${initramfs}`,
    '-nic none -monitor none -serial stdio',
    '-virtfs local,path=/,mount_tag=host,security_model=none,readonly=on,multidevs=remap'
  ]
  const machine = spawn(
    'qemu-system-x86_64',
    [...options.flatMap((line) => line.split(' ')), '-append', command],
    { stdio: ['ignore', 'pipe', 'inherit'] }
  )
  let well = false
  const deadline = setTimeout(() => machine.kill(), 15 * 60_000)
  createInterface({ input: machine.stdout }).on('line', (line) => {
    console.log(`${scenario} | ${line.trimEnd()}`)
    if (line.includes('scenario ended with')) well = line.includes('scenario ended with 0')
  })
  await once(machine, 'close')
  clearTimeout(deadline)
  return well
}

debian('qemu-system-x86', 'busybox-static', 'kmod', 'iproute2')
debian('nfs-kernel-server', 'nfs-common', 'samba', 'cifs-utils')
const wanted = process.argv.slice(2)
mkdirSync(dirname(kernel), { recursive: true })
fetchKernel()
const initramfs = buildInitramfs()
let failed = 0
const scenarios = wanted.length > 0 ? wanted : SCENARIOS
for (const scenario of scenarios) if (!(await boot(scenario, initramfs))) failed += 1
console.log(`${scenarios.length - failed} passed, ${failed} failed`)
process.exitCode = failed > 0 ? 1 : 0
