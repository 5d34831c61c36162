// Two clients of one file server, each with a network of its own, on one machine; and what must
// hold between them, whatever the server's protocol.

import { execFileSync } from 'node:child_process'
import { mkdirSync } from 'node:fs'

import { child, type Child } from '../../__test__/helpers/child.mjs'
import { mustBlock } from '../../__test__/helpers/must-block.mjs'
import { claim, note, seconds, t } from './scenario.mjs'

export const TERMS = { heartbeatMs: 1_000, staleMs: 5_000 }

/** The server's folder, which is local. */
export const EXPORTED = '/mnt/exported'

export function run(command: string, ...args: string[]): void {
  execFileSync(command, args, { stdio: ['ignore', 'inherit', 'inherit'] })
}

export function load(...modules: string[]): void {
  for (const module of ['veth', ...modules]) {
    run('modprobe', '-d', process.env['MODULES']!, module)
  }
}

export function makeExported(): void {
  mkdirSync(EXPORTED)
  run('mount', '-t', 'tmpfs', 'tmp', EXPORTED)
}

export interface Client {
  /** Where it mounts what the server exports. */
  place: string
  /** The server's address for this client. */
  server: string
  /** The command line that runs another one in its network. */
  inside(...command: string[]): [string, ...string[]]
  cutOff(): void
  reconnect(): void
}

/** A network of its own, with a wire to the server. */
export function client(name: string, net: number): Client {
  const [wire, server, place] = [`10.0.${net}.2/24`, `10.0.${net}.1`, `/mnt/${name}`]
  run('ip', 'netns', 'add', name)
  run('ip', 'link', 'add', `to-${name}`, 'type', 'veth', 'peer', 'name', 'wire', 'netns', name)
  run('ip', 'addr', 'add', `${server}/24`, 'dev', `to-${name}`)
  run('ip', 'link', 'set', `to-${name}`, 'up')
  run('ip', '-n', name, 'addr', 'add', wire, 'dev', 'wire')
  run('ip', '-n', name, 'link', 'set', 'wire', 'up')
  run('ip', '-n', name, 'link', 'set', 'lo', 'up')
  mkdirSync(place)
  return {
    place,
    server,
    inside: (...command) => ['nsenter', `--net=/run/netns/${name}`, ...command],
    cutOff: () => run('ip', 'link', 'set', `to-${name}`, 'down'),
    reconnect: () => run('ip', 'link', 'set', `to-${name}`, 'up')
  }
}

export const holder = (root: string, options: object = TERMS): Child =>
  child(t, 'holder', { root, options })

export async function leave(...children: Child[]): Promise<void> {
  for (const each of children) {
    each.kill()
    await each.ends()
  }
}

/** A holder on one client, and a waiter for it on the other. */
async function held(a: string, b: string) {
  const first = holder(a)
  const { token } = await first.says('held')
  const other = holder(b)
  const { holder: seen } = await other.says('waiting')
  return { first, token, other, seen }
}

export async function handsOver(a: string, b: string): Promise<void> {
  const { first, token, other, seen } = await held(a, b)
  claim(`the waiter knows who has it: ${seen?.pid}`, seen?.pid === first.pid)
  const granted = other.says('held')
  await mustBlock(granted)
  claim('and does not have it', !other.hasSaid('held'))
  const released = performance.now()
  first.tell('unlock')
  await first.says('unlocked')
  claim("released, it is the other client's, with a greater token", (await granted).token > token)
  note(`after ${seconds(released)} s`)
  await leave(first, other)
}

export async function survivesAKill(a: string, b: string): Promise<void> {
  const { first, token, other } = await held(a, b)
  const killed = performance.now()
  first.kill()
  const next = await other.says('held')
  claim(
    'the holder is killed: the other client has the lock, with a greater token',
    next.token > token
  )
  note(`${seconds(killed)} s after the kill`)
  await leave(first, other)
}

/** @returns the holder and its token, and the waiter, as they still are */
export async function keepsWhatBeats(a: string, b: string) {
  const { first, token, other } = await held(a, b)
  await new Promise((resolve) => setTimeout(resolve, 3 * TERMS.staleMs))
  claim(
    'a holder that beats is not preempted for three times stale',
    !other.hasSaid('held') && !first.hasSaid('lost')
  )
  return { first, token, other }
}
