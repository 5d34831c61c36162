import type { Log } from './log.mjs'
import type { Engine, OfLink, OfStage, Round } from './plan.mjs'

/** Sets the wall clock of processes that are started under it. */
export interface Clock {
  environment(): Record<string, string>
  name: string
}

/** Where a round takes place: what its processes lock, and what befalls that instead of them. */
export interface Stage {
  readonly engine: Engine
  /** Of the processes, if somebody sets it. */
  readonly clock: Clock | undefined
  /** What the process in a place opens: a path, or a URL. */
  rootFor(place: number): string
  /** Carries out a disturbance; `pause` is cut short when the round is over. */
  disturb(what: OfStage | OfLink<number>, pause: (ms: number) => Promise<void>): Promise<void>
  /** When all processes have ended. */
  end(): Promise<void>
}

/** Sets the stage for a round, which has a folder of its own and a folder of logs. */
export type SetStage = (round: Round, folder: string, logs: string, log: Log) => Promise<Stage>
