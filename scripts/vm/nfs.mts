// Two clients of one NFS server.

import { execFileSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

import {
  client,
  EXPORTED,
  handsOver,
  holder,
  keepsWhatBeats,
  leave,
  load,
  makeExported,
  run,
  survivesAKill,
  TERMS
} from './network.mjs'
import { claim, end, note, seconds } from './scenario.mjs'

load('nfsd', 'nfs', 'nfsv4')
makeExported()
run('mount', '-t', 'nfsd', 'nfsd', '/proc/fs/nfsd')
// A client that is silent for this long loses its locks.
writeFileSync('/proc/fs/nfsd/nfsv4leasetime', '10')
writeFileSync('/proc/fs/nfsd/nfsv4gracetime', '10')
for (const folder of ['/var/lib/nfs', '/var/lib/nfs/v4recovery'])
  mkdirSync(folder, { recursive: true })
for (const file of ['etab', 'rmtab']) writeFileSync(`/var/lib/nfs/${file}`, '')
run('exportfs', '-o', 'rw,fsid=0,no_root_squash,no_subtree_check,insecure', `*:${EXPORTED}`)
run('rpc.mountd', '--no-nfs-version', '3', '--no-tcp', '--no-udp')
run('rpc.nfsd', '--no-nfs-version', '3', '4')

function mounted(name: string, net: number) {
  const made = client(name, net)
  // A client is known by its host's name.
  const mount = `hostname ${name}; mount -t nfs4 -o vers=4.2,nosharecache,hard ${made.server}:/ ${made.place}`
  run(...made.inside('unshare', '--uts', 'sh', '-c', mount))
  return made
}

const wired = mounted('a', 1)
const [a, b] = [wired.place, mounted('b', 2).place]
note(execFileSync('grep', ['nfs4', '/proc/mounts'], { encoding: 'utf8' }).trim())

// The first one waits for the server's time of grace.
await handsOver(a, b)
await survivesAKill(a, b)

{
  const { first, token, other } = await keepsWhatBeats(a, b)
  const cut = performance.now()
  wired.cutOff()
  const told = first.says('lost').then(({ reason }) => {
    note(`the holder was told ${reason} ${seconds(cut)} s after its client was cut off`)
    return { reason, at: performance.now() }
  })
  const had = other.says('held').then(({ token: next }) => {
    note(`the other client had the lock ${seconds(cut)} s after that, token ${next}`)
    return { token: next, at: performance.now() }
  })
  const [lost, next] = await Promise.all([told, had])
  claim('a cut-off holder is told so', lost.reason === 'heartbeat-failed')
  claim('before the other client has the lock', lost.at < next.at)
  claim('with a greater token', next.token > token)
  wired.reconnect()
  writeFileSync(join(b, 'mine'), String(next.token))
  other.tell('unlock')
  await other.says('unlocked')
  await leave(other)
}

{
  // The holder's terms count, even though the clients number its device differently.
  const first = holder(a, { heartbeatMs: 10_000, staleMs: 30_000 })
  await first.says('held')
  const other = holder(b)
  await other.says('waiting')
  await new Promise((resolve) => setTimeout(resolve, 2 * TERMS.staleMs))
  claim(
    'a holder with longer terms is not preempted by a waiter with shorter ones',
    !other.hasSaid('held') && !first.hasSaid('lost')
  )
}
await end()
