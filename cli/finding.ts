import { printable } from '../src/printable'

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
