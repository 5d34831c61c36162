// Two clients of one SMB server, each with a network of its own, on one machine.

import { execFileSync, spawnSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

import { tryLock, type LockError } from 'rootlock'

import { child, type Child } from '../../__test__/helpers/child.mjs'
import { eventually } from '../../__test__/helpers/eventually.mjs'
import { mustBlock } from '../../__test__/helpers/must-block.mjs'
import { claim, end, note, t } from './scenario.mjs'

const TERMS = { heartbeatMs: 1_000, staleMs: 5_000 }

const run = (command: string, ...args: string[]) =>
  execFileSync(command, args, { stdio: ['ignore', 'inherit', 'inherit'] })

// The kernel asks for these by itself, but of the host's folder.
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
for (const module of ['veth', ...ciphers, 'cifs']) {
  run('modprobe', '-d', process.env['MODULES']!, module)
}
run('ip', 'link', 'set', 'lo', 'up')

/** The server, of a folder that is this machine's own. */
const exported = '/mnt/exported'
mkdirSync(exported)
run('mount', '-t', 'tmpfs', 'tmp', exported)
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
  `path = ${exported}`,
  'read only = no'
]
const config = `${own}/smb.conf`
writeFileSync(config, `[global]\n${settings.join('\n')}\n`)
execFileSync('smbpasswd', ['-c', config, '-a', '-s', 'root'], { input: 'secret\nsecret\n' })
run('smbd', '-D', '-l', own, '-s', config)

/** A network of its own with a wire to the server, and the share mounted through it. */
async function client(name: string, net: number): Promise<string> {
  const [wire, server] = [`10.0.${net}.2/24`, `10.0.${net}.1`]
  run('ip', 'netns', 'add', name)
  run('ip', 'link', 'add', `to-${name}`, 'type', 'veth', 'peer', 'name', 'wire', 'netns', name)
  run('ip', 'addr', 'add', `${server}/24`, 'dev', `to-${name}`)
  run('ip', 'link', 'set', `to-${name}`, 'up')
  run('ip', '-n', name, 'addr', 'add', wire, 'dev', 'wire')
  run('ip', '-n', name, 'link', 'set', 'wire', 'up')
  const place = `/mnt/${name}`
  mkdirSync(place)
  const options = 'vers=3.1.1,nosharesock,username=root,password=secret,hard'
  const mount = ['mount', '-t', 'cifs', '-o', options, `//${server}/exported`, place]
  // The server may be starting still.
  await eventually(`client ${name} mounts`, () => {
    return spawnSync('nsenter', [`--net=/run/netns/${name}`, ...mount]).status === 0
  })
  return place
}

const a = await client('a', 1)
const b = await client('b', 2)
note(execFileSync('grep', ['cifs', '/proc/mounts'], { encoding: 'utf8' }).trim())

const holder = (root: string, options: object = TERMS): Child =>
  child(t, 'holder', { root, options })

async function leave(...children: Child[]): Promise<void> {
  for (const each of children) {
    each.kill()
    await each.ends()
  }
}

{
  const first = holder(a)
  const { token } = await first.says('held')
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
  const other = holder(b)
  const { holder: seen } = await other.says('waiting')
  claim(`the waiter knows who has it: ${seen?.pid}`, seen?.pid === first.pid)
  const held = other.says('held')
  await mustBlock(held)
  claim('and does not have it', !other.hasSaid('held'))
  const released = performance.now()
  first.tell('unlock')
  await first.says('unlocked')
  claim("released, it is the other client's, with a greater token", (await held).token > token)
  note(`after ${((performance.now() - released) / 1_000).toFixed(2)} s`)
  await leave(first, other)
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
  await leave(first, other)
}

{
  const first = holder(a)
  const { token } = await first.says('held')
  const other = holder(b)
  await other.says('waiting')
  await new Promise((resolve) => setTimeout(resolve, 3 * TERMS.staleMs))
  claim(
    'a holder that beats is not robbed for three times stale',
    !other.hasSaid('held') && !first.hasSaid('lost')
  )
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
      : `the other client had it ${((performance.now() - ended) / 1_000).toFixed(1)} s after the holder ended`
  )
  claim("when the holder ends, it is the other client's, with a greater token", next.token > token)
  await leave(other)
}

await end()
