// What goes between the director and its crew, and what they must agree about.

/** Short terms, so that a takeover can be watched. The defaults are 10 s and 30 s. */
export const terms = { heartbeatMs: 200, staleMs: 1_500 } as const

/** Milliseconds on a clock that all processes of this machine share and that nobody can set. */
export const now = (): number => Number(process.hrtime.bigint()) / 1e6

/** One movement of money, as the bank's journal keeps it. */
export interface Transfer {
  readonly number: number
  /** The fencing token of the lock under which it was written. */
  readonly token: number
  readonly teller: string
  readonly from: number
  readonly to: number
  readonly cents: number
}

/** What the director asks of a teller: the demo's mishaps, which befall it at its next turn. */
export type Order =
  /** Stop for `publish` when the new state is written, but not published yet: the worst moment. */
  | { readonly do: 'poise' }
  | { readonly do: 'publish' }
  /** Block the event loop at that moment. */
  | { readonly do: 'block'; readonly ms: number }
  /** Finish your turn and go home. */
  | { readonly do: 'close' }

/** What the crew tells. All times are on the clock of `now`. */
export type Message =
  | { readonly type: 'waits' }
  | {
      readonly type: 'inside'
      readonly token: number
      readonly asked: number
      readonly granted: number
      /** Who was in there too. Must be nobody, but for one who was killed or frozen there. */
      readonly met: readonly string[]
    }
  | { readonly type: 'poised' }
  | { readonly type: 'blocks' }
  | { readonly type: 'moved'; readonly transfer: Transfer }
  | { readonly type: 'audited'; readonly sum: number }
  | { readonly type: 'refused'; readonly token: number; readonly newest: number }
  | { readonly type: 'lost'; readonly reason: string; readonly at: number }
  | { readonly type: 'left'; readonly token: number; readonly releasing: number }
  | {
      readonly type: 'log'
      readonly message: string
      readonly details: Readonly<Record<string, string>>
    }
