import { setTimeout as pause } from 'node:timers/promises'

import type { Cast } from './cast.mjs'
import type { Disturbance } from './plan.mjs'
import type { Stage } from './stage.mjs'

/** Disturbs a round according to its plan. */
export class Disturber {
  readonly #stage: Stage
  readonly #cast: Cast
  readonly #under: Promise<void>[] = []
  readonly #over = new AbortController()

  constructor(stage: Stage, cast: Cast) {
    this.#stage = stage
    this.#cast = cast
  }

  /** Carries out one disturbance, and its later part. */
  disturb(what: Disturbance): void {
    switch (what.kind) {
      case 'kill': {
        return this.#cast.meet(what.place, (member) => {
          member.kill()
          this.#later(what.restart, () => member.start())
        })
      }
      case 'freeze': {
        return this.#cast.meet(what.place, (member) => {
          const { who } = member
          member.freeze()
          this.#later(what.for, () => member.thaw(who))
        })
      }
      case 'terminate':
        return this.#cast.meet(what.place, (member) => member.terminate(what.thread))
      case 'link stop':
      case 'link cut':
      case 'link slow':
        return this.#cast.meet(what.place, (member, holder) => {
          // Most holds would be over before it is noticed.
          if (holder !== undefined) member.linger(holder)
          this.#onStage({ ...what, place: member.place })
        })
      default:
        return this.#onStage(what)
    }
  }

  /** Ends everything that still goes on. */
  async end(): Promise<void> {
    this.#over.abort()
    // The last step may begin something more.
    while (this.#under.length > 0) await Promise.all(this.#under.splice(0))
  }

  #onStage(what: Parameters<Stage['disturb']>[0]): void {
    // A holder that was to be met may come when the round is over.
    if (this.#over.signal.aborted) return
    this.#under.push(this.#stage.disturb(what, (ms) => this.#pause(ms)))
  }

  /** Does it after a while, or when the round ends. */
  #later(ms: number, what: () => void): void {
    this.#under.push(this.#pause(ms).then(what))
  }

  #pause(ms: number): Promise<void> {
    return pause(ms, undefined, { signal: this.#over.signal }).catch(() => {})
  }
}
