import { existsSync, readdirSync, statSync } from 'node:fs'
import { constants } from 'node:os'
import { join } from 'node:path'

import { inspect, tryLock } from 'rootlock'

import type { PlainError } from '../helpers/child.mjs'
import { eventually, inTime } from '../helpers/eventually.mjs'
import { kernelLocks } from '../helpers/kernel-locks.mjs'
import type { Phase, Step } from './phases.mjs'
import { Scene } from './scene.mjs'
import { Trace, type Call, type Injection } from './strace.mjs'

export const ERRORS = ['EINTR', 'EIO', 'ENOSPC', 'EMFILE', 'ENOLCK', 'EROFS', 'EACCES', 'ESTALE']

/** The result of a case. */
export interface Outcome {
  phase: string
  injection: Injection
  /** The calls that were hit; none if the case was not reached. */
  met: string[]
  /** `granted`, `refused EIO`, … for the table. */
  said: string
  /** What is wrong. */
  wrong: string[]
}

/** The calls that a phase makes when nothing fails: the places where something can. */
export async function discover(phase: Phase): Promise<{ name: string; when: number }[]> {
  const { calls } = await traced(phase, undefined, async (_scene, steps) => {
    for (const { what, error } of steps) {
      if (error) throw new Error(`${phase.name}, undisturbed: ${what} failed: ${error.message}`)
    }
  })
  const counts = new Map<string, Map<number, number>>()
  for (const { name, thread } of calls) {
    const threads = counts.get(name) ?? new Map<number, number>()
    counts.set(name, threads.set(thread, (threads.get(thread) ?? 0) + 1))
  }
  return [...counts].flatMap(([name, threads]) =>
    Array.from({ length: Math.max(...threads.values()) }, (_, index) => ({
      name,
      when: index + 1
    }))
  )
}

/** Makes calls of a phase fail, and checks everything that must hold afterwards. */
export async function fault(phase: Phase, injection: Injection): Promise<Outcome> {
  const wrong: string[] = []
  let said = ''
  const expected = /^error=(\w+)/.exec(injection.what)?.[1]
  const { calls } = await traced(phase, injection, async (scene, steps, made) => {
    const met = made.filter((call) => call.injected)
    said = steps.map((step) => tell(step)).join(', ')
    const closes = met.filter((call) => call.name === 'close').length
    for (const step of steps) wrong.push(...(await judge(scene, phase, step, met, expected)))
    wrong.push(...(await aftermath(scene, phase, steps, injection, closes)))
  })
  return { phase: phase.name, injection, met: labels(calls), said, wrong }
}

/** Kills the subject at a call of a phase; the next process must acquire the lock. */
export async function crash(phase: Phase, { name, when }: { name: string; when: number }) {
  const injection = { name, when: String(when), what: 'signal=KILL' }
  const wrong: string[] = []
  const scene = await Scene.open(phase.options)
  let calls: Call[] = []
  try {
    await phase.prepare?.(scene)
    const trace = await Trace.attach(scene.subject.pid, scene.root, scene.scratch, injection)
    const lives = phase.act(scene).then(
      () => true,
      () => false
    )
    const reached = !(await Promise.race([lives, scene.subject.ends().then(() => false)]))
    calls = await trace.detach()
    scene.subject.kill()
    await scene.subject.ends()
    await lives
    wrong.push(...(await next(scene, phase)))
    wrong.push(...litter(scene))
    return {
      phase: phase.name,
      injection,
      met: reached ? [calls.at(-1)?.label ?? name] : [],
      said: reached ? 'next one has it' : 'was not reached',
      wrong
    } satisfies Outcome
  } finally {
    await scene.end()
  }
}

async function traced(
  phase: Phase,
  injection: Injection | undefined,
  check: (scene: Scene, steps: Step[], calls: Call[]) => Promise<void>
): Promise<{ calls: Call[] }> {
  const scene = await Scene.open(phase.options)
  try {
    await phase.prepare?.(scene)
    const trace = await Trace.attach(scene.subject.pid, scene.root, scene.scratch, injection)
    const steps = await phase.act(scene)
    const calls = await trace.detach()
    await check(scene, steps, calls)
    return { calls }
  } finally {
    await scene.end()
  }
}

const labels = (calls: Call[]) => [
  ...new Set(calls.filter((call) => call.injected).map((call) => call.label))
]

function tell({ what, error }: Step): string {
  if (!error) return { acquire: 'granted', release: 'released', look: 'seen', beat: 'held' }[what]
  return error.cause ? `${error.cause.code} ${error.cause.syscall}` : error.message.slice(0, 120)
}

/** Checks that the result of one step is true. */
async function judge(
  scene: Scene,
  phase: Phase,
  step: Step,
  met: Call[],
  expected: string | undefined
): Promise<string[]> {
  const { what, error } = step
  if (error) return rightError(scene, phase, step, error, met, expected)
  if (what !== 'acquire') return []
  // If it reports the lock as granted, it has it, and others can see that.
  const wrong: string[] = []
  // Repeated: the kernel's list omits some while locks come and go elsewhere.
  await eventually('the kernel says so', () =>
    kernelLocks(scene.root).some(
      ({ waits, pid, mode }) => !waits && pid === scene.subject.pid && mode === 'WRITE'
    )
  ).catch(() => wrong.push('granted, but the kernel does not say so'))
  if (!(step.token! > scene.token)) wrong.push(`token ${step.token} after ${scene.token}`)
  scene.token = Math.max(scene.token, step.token!)
  const seen = await inspect(scene.root)
  if (seen.holder?.token !== step.token) {
    wrong.push(`granted token ${step.token}, but the ledger says ${seen.holder?.token}`)
  }
  return wrong
}

function rightError(
  scene: Scene,
  phase: Phase,
  { what }: Step,
  error: PlainError,
  met: Call[],
  expected: string | undefined
): string[] {
  const wrong: string[] = []
  const code = what === 'release' ? 'ERR_UNLOCK_UNSUCCESSFUL' : 'ERR_LOCK_UNSUCCESSFUL'
  if (error.code !== code) wrong.push(`${what}: ${error.code} instead of ${code}`)
  if (!error.path?.startsWith(scene.root)) wrong.push(`${what}: names ${error.path}`)
  const { cause } = error
  if (!cause) {
    // A refused takeover: the lock is still somebody's, and the message says what was in the way.
    const refused = phase.takesOver && error.message.startsWith('store is locked')
    const says =
      expected !== undefined && error.message.includes(`could not be taken over (${expected}`)
    // On some network file systems, EACCES means that somebody holds the kernel lock.
    const denied = expected === 'EACCES' && met.some((call) => call.name === 'flock')
    if (!refused || !(says || denied)) wrong.push(`${what}: no cause: ${error.message}`)
    return wrong
  }
  if (expected === undefined) wrong.push(`${what}: ${cause.message}, though nothing failed`)
  if (expected === 'EINTR')
    wrong.push(`${what}: an interrupted call is not a failed one: ${cause.message}`)
  if (cause.code !== expected) wrong.push(`${what}: ${cause.code} instead of ${expected}`)
  const number = constants.errno[expected as keyof typeof constants.errno]
  if (cause.errno !== -number) wrong.push(`${what}: errno ${cause.errno} instead of ${-number}`)
  if (!met.some((call) => plainName(call) === cause.syscall)) {
    wrong.push(`${what}: ${cause.syscall} is blamed for ${labels(met).join()}`)
  }
  if (!cause.path?.startsWith(scene.root)) wrong.push(`${what}: blames ${cause.path}`)
  return wrong
}

/** Calls by the names of their manual pages. */
const PLAIN: Record<string, string> = {
  clone3: 'pthread_create',
  newfstatat: 'stat',
  // An emulator's name for it.
  'newfstatat AT_EMPTY_PATH': 'fstat',
  openat: 'open',
  pread64: 'read',
  pwrite64: 'write',
  renameat: 'rename',
  renameat2: 'rename',
  unlinkat: 'unlink'
}

function plainName({ name, label }: Call): string {
  const how = label.split(' ').at(-1)
  return PLAIN[`${name} ${how}`] ?? PLAIN[name] ?? name
}

/** The subject goes on as if nothing had happened, leaves nothing, and the next process acquires the lock. */
async function aftermath(
  scene: Scene,
  phase: Phase,
  steps: Step[],
  injection: Injection,
  closes: number
): Promise<string[]> {
  const wrong: string[] = []
  const { subject } = scene
  const last = steps.at(-1)!
  const holds =
    (last.what === 'acquire' || last.what === 'beat' || last.what === 'look') &&
    !(last.what === 'acquire' && last.error)
  const lost = subject.hasSaid('lost')
  if (phase.always) {
    // A holder that can't beat says so, and one that can has the lock.
    if (!lost && Date.now() - statSync(join(scene.root, '.lock')).mtimeMs > 1_000) {
      wrong.push('does not beat, and does not say so')
    }
  } else if (lost && !injection.what.startsWith('delay') && !phase.takesOver) {
    // The shortest terms may expire on a busy machine.
    wrong.push(`lost the lock: ${(await subject.says('lost')).reason}`)
  }
  if (holds) {
    const released = await scene.ask('release', 'released')
    if (released.error) wrong.push(`release afterwards: ${released.error.message}`)
  }
  const again = await scene.ask('acquire', 'acquired')
  if (again.error) wrong.push(`acquire afterwards: ${again.error.message}`)
  else if (!(again.token! > scene.token)) wrong.push(`token ${again.token} after ${scene.token}`)
  else {
    scene.token = again.token!
    const released = await scene.ask('release', 'released')
    if (released.error) wrong.push(`release afterwards: ${released.error.message}`)
  }
  await scene.ask('close', 'closed')
  wrong.push(...(await next(scene, phase)))
  wrong.push(...litter(scene))
  await eventually('its threads go', () => scene.threads().length === 0).catch(() =>
    wrong.push(`threads left: ${scene.threads().join()}`)
  )
  // Only a close that was prevented may have left its descriptor open.
  await eventually('its descriptors go', () => scene.openInRoot().length <= closes).catch(() =>
    wrong.push(`descriptors left: ${scene.openInRoot().join()}`)
  )
  subject.tell('end')
  const { code } = await subject.ends()
  if (code !== 0) wrong.push(`ended with ${code}: ${subject.printed}`)
  return wrong
}

/** Another process, this one, asks for the lock. */
async function next(scene: Scene, phase: Phase): Promise<string[]> {
  const wrong: string[] = []
  try {
    const options = phase.takesOver ? { heartbeatMs: 50, staleMs: 150 } : { wait: false }
    const unlock = await inTime('the next one has the lock', tryLock(scene.root, options))
    if (!(unlock.token > scene.token)) wrong.push(`token ${unlock.token} after ${scene.token}`)
    await unlock()
  } catch (error) {
    wrong.push(`the next one: ${(error as Error).message}`)
  }
  if (scene.holder) {
    scene.holder.thaw()
    // Hijacked, or so long without a beat that it makes no difference.
    await scene.holder.says('lost')
  }
  return wrong
}

function litter({ root }: Scene): string[] {
  const expected = new Set(['.lock', '.lock.guard'])
  const left = existsSync(root) ? readdirSync(root).filter((name) => !expected.has(name)) : []
  return left.map((name) => `${name} is left over`)
}
