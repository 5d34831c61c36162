// What `rootlock run` and the process that keeps its lock say to each other.

import type { Ancestor } from './ancestors'

/** What is asked for; the first that the keeper hears. */
export interface Terms {
  directory: string
  fileName: string | undefined
  shared: boolean
  quiet: boolean
  wait: boolean
  ms: number | undefined
  heldExit: number
  /** Whether the command and what it starts have the other end of the line, too. */
  inherited: boolean
}

export type ToKeeper =
  /** Tell of all signals that came; then answer `told`. */
  | { kind: 'tell' }
  /** The command has ended; answer `kept` if what it started keeps the lock. */
  | { kind: 'ended' }

export type FromKeeper =
  | { kind: 'granted'; token: number; as: Ancestor }
  | { kind: 'lost'; message: string }
  | { kind: 'signal'; signal: NodeJS.Signals }
  | { kind: 'told' }
  | { kind: 'kept' }

/** Where the keeper finds its end of the line. */
export const LINE = 3
