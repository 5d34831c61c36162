/** What an actor needs of a lock; rootlock's own functions fit. */
export interface Held {
  (): Promise<void>
  readonly token: number
  readonly signal: AbortSignal
}

export interface Ask {
  shared: boolean
  wait: boolean
  signal: AbortSignal
  heartbeatMs: number
  staleMs: number
  say(message: string, details: Record<string, unknown>): void
}

export interface Design {
  open(path: string, handle: boolean): Promise<(ask: Ask) => Promise<Held>>
}

/** The designs that there are, by name. */
export const DESIGNS = ['rootlock', 'naive', 'careless'] as const

export type DesignName = (typeof DESIGNS)[number]
