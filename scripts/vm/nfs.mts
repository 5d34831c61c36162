// Two clients of one NFS server, each with a network of its own, on one machine.

import { execFileSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

import { child, type Child } from '../../__test__/helpers/child.mjs'
import { mustBlock } from '../../__test__/helpers/must-block.mjs'
import { claim, end, note, t } from './scenario.mjs'

const TERMS = { heartbeatMs: 1_000, staleMs: 5_000 }

const run = (command: string, ...args: string[]) =>
  execFileSync(command, args, { stdio: ['ignore', 'inherit', 'inherit'] })

for (const module of ['nfsd', 'nfs', 'nfsv4', 'veth']) {
  run('modprobe', '-d', process.env['MODULES']!, module)
}

/** The server, of a folder that is this machine's own. */
const exported = '/mnt/exported'
mkdirSync(exported)
run('mount', '-t', 'tmpfs', 'tmp', exported)
run('mount', '-t', 'nfsd', 'nfsd', '/proc/fs/nfsd')
// A client that is not heard of for so long has lost its locks.
writeFileSync('/proc/fs/nfsd/nfsv4leasetime', '10')
writeFileSync('/proc/fs/nfsd/nfsv4gracetime', '10')
for (const folder of ['/var/lib/nfs', '/var/lib/nfs/v4recovery'])
  mkdirSync(folder, { recursive: true })
for (const file of ['etab', 'rmtab']) writeFileSync(`/var/lib/nfs/${file}`, '')
run('exportfs', '-o', 'rw,fsid=0,no_root_squash,no_subtree_check,insecure', `*:${exported}`)
run('rpc.mountd', '--no-nfs-version', '3', '--no-tcp', '--no-udp')
run('rpc.nfsd', '--no-nfs-version', '3', '4')

/** A network of its own with a wire to the server, and the export mounted through it. */
function client(name: string, net: number): string {
  const [wire, server] = [`10.0.${net}.2/24`, `10.0.${net}.1`]
  run('ip', 'netns', 'add', name)
  run('ip', 'link', 'add', `to-${name}`, 'type', 'veth', 'peer', 'name', 'wire', 'netns', name)
  run('ip', 'addr', 'add', `${server}/24`, 'dev', `to-${name}`)
  run('ip', 'link', 'set', `to-${name}`, 'up')
  run('ip', '-n', name, 'addr', 'add', wire, 'dev', 'wire')
  run('ip', '-n', name, 'link', 'set', 'wire', 'up')
  run('ip', '-n', name, 'link', 'set', 'lo', 'up')
  const place = `/mnt/${name}`
  mkdirSync(place)
  // A client is known by its host's name.
  const mount = `hostname ${name}; mount -t nfs4 -o vers=4.2,nosharecache,hard ${server}:/ ${place}`
  run('nsenter', `--net=/run/netns/${name}`, 'unshare', '--uts', 'sh', '-c', mount)
  return place
}

const a = client('a', 1)
const b = client('b', 2)
note(execFileSync('grep', ['nfs4', '/proc/mounts'], { encoding: 'utf8' }).trim())

const holder = (root: string, options: object = TERMS): Child =>
  child(t, 'holder', { root, options })

{
  const first = holder(a)
  const { token } = await first.says('held')
  note(`client a has the lock, token ${token} (the first one waits for the server's time of grace)`)
  const other = holder(b)
  const { holder: seen } = await other.says('waiting')
  claim(`the waiter knows who has it: ${seen?.pid}`, seen?.pid === first.pid)
  const held = other.says('held')
  await mustBlock(held)
  claim('and does not have it', !other.hasSaid('held'))
  first.tell('unlock')
  await first.says('unlocked')
  claim("released, it is the other client's, with a greater token", (await held).token > token)
  first.kill()
  await first.ends()
  other.kill()
  await other.ends()
}

{
  const first = holder(a)
  const { token } = await first.says('held')
  const other = holder(b)
  await other.says('waiting')
  const killed = performance.now()
  first.kill()
  const next = await other.says('held')
  note(
    `the waiter on client b had the lock ${((performance.now() - killed) / 1_000).toFixed(1)} s after the holder on client a was killed`
  )
  claim(
    'the holder is killed: the other client has the lock, with a greater token',
    next.token > token
  )
  other.tell('unlock')
  await other.says('unlocked')
  other.kill()
  await other.ends()
}

{
  const first = holder(a)
  const { token } = await first.says('held')
  const other = holder(b)
  await other.says('waiting')
  // Both stay: who beats is not robbed over the network either.
  await new Promise((resolve) => setTimeout(resolve, 3 * TERMS.staleMs))
  claim(
    'a holder that beats is not robbed for three times stale',
    !other.hasSaid('held') && !first.hasSaid('lost')
  )
  const cut = performance.now()
  const after = () => ((performance.now() - cut) / 1_000).toFixed(1)
  run('ip', 'link', 'set', 'to-a', 'down')
  const told = first.says('lost').then(({ reason }) => {
    note(`the holder was told ${reason} ${after()} s after its client was cut off`)
    return { reason, at: performance.now() }
  })
  const had = other.says('held').then(({ token: next }) => {
    note(`the other client had the lock ${after()} s after that, token ${next}`)
    return { next, at: performance.now() }
  })
  const [lost, next] = await Promise.all([told, had])
  claim('a cut-off holder is told so', lost.reason === 'heartbeat-failed')
  claim('before the other client has the lock', lost.at < next.at)
  claim('with a greater token', next.next > token)
  run('ip', 'link', 'set', 'to-a', 'up')
  writeFileSync(join(b, 'mine'), String(next.next))
  other.tell('unlock')
  await other.says('unlocked')
  other.kill()
  await other.ends()
}

{
  // Of both clients' terms the holder's count, though they number its device differently.
  const first = holder(a, { heartbeatMs: 10_000, staleMs: 30_000 })
  await first.says('held')
  const other = holder(b)
  await other.says('waiting')
  await new Promise((resolve) => setTimeout(resolve, 2 * TERMS.staleMs))
  claim(
    'a holder with longer terms is not robbed by a waiter with shorter ones',
    !other.hasSaid('held') && !first.hasSaid('lost')
  )
}
await end()
