// A server as the stage of a round: its links are cut, its sessions ended, and it restarts.

import { randomUUID } from 'node:crypto'
import { setTimeout as pause } from 'node:timers/promises'

import { wayTo, type Way } from '../helpers/proxy.mjs'
import type { TestServer } from '../helpers/test-server.mjs'
import { now, type Log } from './log.mjs'
import type { Engine, OfLink, OfStage } from './plan.mjs'
import type { SetStage, Stage } from './stage.mjs'

/** All locks are free within this time after the last process has ended: several leases. */
const TO_BE_FREE = 30_000

export function engineOf({ name }: TestServer): Engine {
  return name === 'etcd' ? 'etcd' : 'postgres'
}

/** Rounds on a server that is there already, each in a root of its own, and each place by links of its own. */
export function onServer(server: TestServer): SetStage {
  return async ({ places }, _folder, _logs, log) => {
    const url = server.url(`torture-${randomUUID()}`)
    return new ServerStage(server, await Promise.all(places.map(() => wayTo(server, url))), log)
  }
}

class ServerStage implements Stage {
  readonly engine: Engine
  readonly clock = undefined
  readonly #server: TestServer
  /** Of each place. */
  readonly #ways: readonly Way[]
  readonly #log: Log
  readonly #disturbed = new Set<number>()
  #turn = Promise.resolve()

  constructor(server: TestServer, ways: Way[], log: Log) {
    this.engine = engineOf(server)
    this.#server = server
    this.#ways = ways
    this.#log = log
  }

  rootFor(place: number): string {
    return this.#ways[place]!.url
  }

  async disturb(
    what: OfStage | OfLink<number>,
    pauseInRound: (ms: number) => Promise<void>
  ): Promise<void> {
    switch (what.kind) {
      case 'link stop':
      case 'link cut':
      case 'link slow':
        return this.#disturbLinks(what, pauseInRound)
      case 'restart': {
        const { how } = what
        return this.#inTurn(async (from) => {
          await this.#server.restart(how)
          this.#log.say({ what: 'restart', how, from })
        })
      }
      case 'end sessions':
        return this.#inTurn(async (from) => {
          await this.#server.terminateHolders()
          this.#log.say({ what: 'end session', from })
        })
      case 'disturb server':
        return this.#inTurn(async (from) => {
          await this.#server.disturb()
          // What that is differs: on PostgreSQL it ends any one session, of a waiter too.
          this.#log.say({
            what: this.engine === 'postgres' ? 'end session' : 'stop member',
            from
          })
        })
      default:
        throw new Error(`nothing on a server: ${what.kind}`)
    }
  }

  /** Whatever has ended must not keep a lock. */
  async end(): Promise<void> {
    const until = performance.now() + TO_BE_FREE
    for (;;) {
      const { held, waiting } = await this.#server.locks()
      if (held + waiting === 0) break
      if (performance.now() > until) {
        this.#log.say({ what: 'left', held, waiting })
        break
      }
      await pause(50)
    }
    for (const { links } of this.#ways) for (const link of links) link.close()
  }

  async #disturbLinks(
    what: OfLink<number>,
    pauseInRound: (ms: number) => Promise<void>
  ): Promise<void> {
    const { place } = what
    // One thing at a time: the end of the first would end the second.
    if (this.#disturbed.has(place)) return
    this.#disturbed.add(place)
    const { links } = this.#ways[place]!
    this.#log.say(
      what.kind === 'link slow'
        ? { what: what.kind, place, by: what.by }
        : { what: what.kind, place }
    )
    for (const link of links) {
      if (what.kind === 'link slow') link.slow(what.by)
      else if (what.kind === 'link cut') link.cut()
      else link.stop()
    }
    await pauseInRound(what.for)
    for (const link of links) {
      link.slow(0)
      link.restore()
    }
    this.#log.say({ what: 'link restore', place })
    this.#disturbed.delete(place)
  }

  /** Nothing else can be done to a server that is just starting again. */
  #inTurn(what: (from: number) => Promise<void>): Promise<void> {
    return (this.#turn = this.#turn.then(() => what(now())))
  }
}
