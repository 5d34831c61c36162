import type { Adapter } from './adapter.js'

export interface Metric {
  readonly key: string
  readonly title: string
  readonly unit: string
  readonly better: 'more' | 'less'
}

/** One round of one contender: a number for each metric. */
export type Sample = Readonly<Record<string, number>>

/** What rootlock has to reach: a multiple of a contender's result in the same round, or a plain number. */
export interface Bar {
  readonly metric: string
  readonly is: '≥' | '≤'
  readonly value: number
  /** The contender that `value` multiplies; without it `value` is the bar itself. */
  readonly of?: string
  /** Another way to use rootlock that has to reach it, instead of `rootlock` itself. */
  readonly by?: string
}

/** The peer that did best in that round without ever losing an update. */
export const bestPeer = 'the best peer'
/** The same among those that give everybody a turn: a lock that never hands over has no hand-over to pay for. */
export const bestFairPeer = 'the best fair peer'
export const fair = 0.98

export interface Effort {
  readonly quick: boolean
}

export interface Measure {
  readonly name: string
  readonly title: string
  /** How it is measured, for the reader of the results. */
  readonly how: string
  /** Ratios are shown for the first one. */
  readonly metrics: readonly Metric[]
  readonly bars: readonly Bar[]
  readonly rounds: number
  /** Rounds in the quick mode; 0 leaves the measure out. */
  readonly quickRounds: number
  /** Whether all contenders run at the same time, because the measure counts and does not time. */
  readonly together?: boolean
  /** Why a contender can't take part, if it can't. */
  excuse?(adapter: Adapter): string | undefined
  run(adapter: Adapter, effort: Effort): Promise<Sample>
}
