// A link to a server that a test can cut, stop and slow down.

import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'

import type { TestServer } from './test-server.mjs'

type Pair = readonly [Socket, Socket]

export class Link {
  readonly port: number
  readonly #server: Server
  readonly #pairs = new Set<Pair>()
  #state: 'up' | 'down' | 'stopped' = 'up'
  #latency = 0

  private constructor(server: Server, to: number) {
    this.#server = server
    this.port = (server.address() as AddressInfo).port
    server.on('connection', (client) => this.#open(client, to))
  }

  /** To a port of this machine. */
  static async open(to: number): Promise<Link> {
    const server = createServer({ pauseOnConnect: true }).listen(0, '127.0.0.1')
    await once(server, 'listening')
    return new Link(server, to)
  }

  #open(client: Socket, to: number): void {
    if (this.#state === 'down') return void client.destroy()
    const pair: Pair = [client, connect(to, '127.0.0.1')]
    this.#pairs.add(pair)
    const close = () => {
      this.#pairs.delete(pair)
      for (const socket of pair) socket.destroy()
    }
    for (const [from, into] of [pair, pair.toReversed() as unknown as Pair]) {
      from.setNoDelay(true)
      from.on('error', close).on('close', close)
      from.on('data', this.#passOn(into))
      if (this.#state === 'up') from.resume()
    }
  }

  /** Passes on what comes, each after the latency of its time, and in order: what comes later may take less. */
  #passOn(into: Socket): (data: Buffer) => void {
    let [last, underway] = [Promise.resolve(), 0]
    const later = async (data: Buffer, before: Promise<void>, due: Promise<void>) => {
      await before
      await due
      underway -= 1
      if (!into.destroyed) into.write(data)
    }
    return (data) => {
      if (this.#latency === 0 && underway === 0) return void into.write(data)
      underway += 1
      last = later(data, last, pause(this.#latency))
    }
  }

  /** Ends all connections, and refuses new ones. */
  cut(): void {
    this.#state = 'down'
    for (const pair of this.#pairs) for (const socket of pair) socket.destroy()
  }

  /** Lets nothing through, and tells nobody: as a cable that is pulled out. */
  stop(): void {
    this.#state = 'stopped'
    this.strand()
  }

  /** Lets nothing more through on the connections that there are, and tells nobody: as a router that has forgotten them. */
  strand(): void {
    for (const pair of this.#pairs) for (const socket of pair) socket.pause()
  }

  /** What was stopped arrives now. */
  restore(): void {
    this.#state = 'up'
    for (const pair of this.#pairs) for (const socket of pair) socket.resume()
  }

  /** How many milliseconds everything takes from now on, in each direction. */
  slow(milliseconds: number): void {
    this.#latency = milliseconds
  }

  close(): void {
    this.cut()
    this.#server.close()
  }
}

/** The way to a server: a link to each of its ports, and the URL by them. */
export interface Way {
  readonly links: readonly Link[]
  readonly url: string
}

export async function wayTo(server: TestServer, url: string): Promise<Way> {
  const links = await Promise.all(server.ports.map((port) => Link.open(port)))
  return {
    links,
    url: server.urlBy(
      links.map(({ port }) => port),
      url
    )
  }
}
