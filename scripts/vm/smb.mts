// Two clients of one SMB server.

import { execFileSync, spawnSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

import { tryLock, type LockError } from 'rootlock'

import { eventually } from '../../__test__/helpers/eventually.mjs'
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

// The kernel would load these by itself, but from the host's folder.
const ciphers = [
  'aes_generic',
  'cmac',
  'ctr',
  'ghash_generic',
  'gcm',
  'ccm',
  'hmac',
  'sha512_generic'
]
load(...ciphers, 'cifs')
run('ip', 'link', 'set', 'lo', 'up')

makeExported()
const own = '/tmp/samba'
mkdirSync(own)
const settings = [
  'server role = standalone server',
  'server min protocol = SMB3_11',
  'disable netbios = yes',
  'load printers = no',
  'smb ports = 445',
  `log file = ${own}/log`,
  ...['private dir', 'lock directory', 'state directory', 'cache directory', 'pid directory'].map(
    (name) => `${name} = ${own}`
  ),
  `ncalrpc dir = ${own}/rpc`,
  '[exported]',
  `path = ${EXPORTED}`,
  'read only = no'
]
const config = `${own}/smb.conf`
writeFileSync(config, `[global]\n${settings.join('\n')}\n`)
execFileSync('smbpasswd', ['-c', config, '-a', '-s', 'root'], { input: 'secret\nsecret\n' })
run('smbd', '-D', '-l', own, '-s', config)

async function mounted(name: string, net: number): Promise<string> {
  const { server, place, inside } = client(name, net)
  const options = 'vers=3.1.1,nosharesock,username=root,password=secret,hard'
  const mount = inside('mount', '-t', 'cifs', '-o', options, `//${server}/exported`, place)
  // The server may still be starting.
  await eventually(`client ${name} mounts`, () => {
    return spawnSync(mount[0], mount.slice(1)).status === 0
  })
  return place
}

const a = await mounted('a', 1)
const b = await mounted('b', 2)
note(execFileSync('grep', ['cifs', '/proc/mounts'], { encoding: 'utf8' }).trim())

{
  const first = holder(a)
  await first.says('held')
  const raw = spawnSync('flock', ['-n', join(b, '.lock'), 'true'], { encoding: 'utf8' })
  claim(
    `flock(1) on the other client is refused with EACCES: ${raw.stderr.trim()}`,
    raw.status !== 0 && raw.stderr.includes('Permission denied')
  )
  const refused = await tryLock(b, { ...TERMS, wait: false }).then(
    () => undefined,
    (error: LockError) => error
  )
  claim(
    `and that is "held" here: ${refused?.message}`,
    refused?.message.startsWith(`store is locked by pid ${first.pid} `) === true
  )
  await leave(first)
}

await handsOver(a, b)
await survivesAKill(a, b)

{
  const { first, token, other } = await keepsWhatBeats(a, b)
  // The server renames nothing over a file that another client has open.
  const refused = (async () => {
    for (;;) {
      const { message, details } = await other.says('log')
      note(`log: ${message}: ${details['reason']}`)
      if (message.startsWith('could not take over')) return
    }
  })()
  await first.freeze()
  await refused
  claim('a takeover from a frozen holder is refused, and told', !other.hasSaid('held'))
  first.thaw()
  await new Promise((resolve) => setTimeout(resolve, 2 * TERMS.staleMs))
  const lost = first.hasSaid('lost') ? (await first.says('lost')).reason : undefined
  note(`woken up, the holder ${lost ? `is told ${lost}` : 'still has the lock'}`)
  const early = other.hasSaid('held')
  claim('two never have it', !early || lost !== undefined)
  const ended = performance.now()
  await leave(first)
  const next = await other.says('held')
  note(
    early
      ? 'the other client had it before that'
      : `the other client had it ${seconds(ended)} s after the holder ended`
  )
  claim("when the holder ends, it is the other client's, with a greater token", next.token > token)
  await leave(other)
}

await end()
