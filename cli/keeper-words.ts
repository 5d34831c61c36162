// The messages between `rootlock run` and the process that holds its lock.

import type { Ancestor } from './ancestors'
import type { Target } from './arguments'

/** The request: the first message to the keeper. */
export interface Terms extends Target {
  shared: boolean
  quiet: boolean
  wait: boolean
  ms: number | undefined
  heldExit: number
  /** Whether the command and its children also have the other end of the line. */
  inherited: boolean
}

export type ToKeeper =
  /** Report all signals that arrived, then answer `told`. */
  | { kind: 'tell' }
  /** The command has ended; answer `kept` if its children still hold the lock. */
  | { kind: 'ended' }

export type FromKeeper =
  | { kind: 'granted'; token: number; as: Ancestor }
  | { kind: 'lost'; message: string }
  | { kind: 'signal'; signal: NodeJS.Signals }
  | { kind: 'told' }
  | { kind: 'kept' }

/** Where the keeper finds its end of the line. */
export const LINE = 3
