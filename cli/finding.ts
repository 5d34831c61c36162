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
