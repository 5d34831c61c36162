import type { LockState } from '../index'
import { printable } from '../src/printable'
import { exits } from './exits'
import { duration, who } from './words'

export type Verdict = 'ok' | 'warn' | 'fail'

/** Something that the doctor looked at. */
export interface Finding {
  verdict: Verdict
  what: string
  /** What to do; only when it is not well. */
  next?: string
}

export const ok = (what: string): Finding => ({ verdict: 'ok', what })
export const warn = (what: string, next: string): Finding => ({ verdict: 'warn', what, next })
export const fail = (what: string, next: string): Finding => ({ verdict: 'fail', what, next })

/** As it is printed. */
export function lineOf({ verdict, what, next }: Finding): string {
  const more = next === undefined ? '' : `      ${printable(next)}\n`
  return `${verdict.padEnd(4)}  ${printable(what)}\n${more}`
}

/** Who holds the lock. @param stale what becomes of a stale one */
export function lockState({ state, holder, ageMs }: LockState, stale: string): Finding {
  if (state === 'free') return ok('the lock is free')
  const whom = holder ? who(holder) : 'another process'
  if (state !== 'stale') return ok(`${whom} holds the lock`)
  return warn(
    `${whom} holds the lock, but has shown no sign of life for ${duration(ageMs ?? 0)}`,
    stale
  )
}

/** Why a lock's state is not known. */
export const uninspected = (error: unknown): Finding =>
  fail((error as Error).message, "The lock can't be inspected: see the other findings")

/** Prints what all findings come to, and returns the exit code. */
export function conclude(verdicts: Set<Verdict>, subject: string, where: string): number {
  process.stdout.write(
    verdicts.has('fail')
      ? `\nLocks ${where} are not reliable: see the failures above.\n`
      : verdicts.has('warn')
        ? `\n${subject} can be locked, but see the warnings above.\n`
        : `\n${subject} can be locked.\n`
  )
  return verdicts.has('fail') ? exits.unwell : exits.ok
}
