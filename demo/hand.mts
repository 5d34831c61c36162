// One of the crew, as the director sees it: a real process, and what is known of it.

import { fork, type ChildProcess } from 'node:child_process'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'

import { now, type Message, type Order } from './messages.mjs'

export type Role = 'teller' | 'auditor'

/** What it does, in the order of the day. */
export type State =
  | 'starting'
  | 'resting'
  | 'waiting'
  | 'inside'
  | 'poised'
  | 'blocking'
  | 'frozen'
  | 'preempted'
  | 'killed'
  | 'home'

export class Hand {
  readonly name: string
  readonly role: Role
  readonly #child: ChildProcess
  /** How it ended: an exit code or a signal. */
  readonly ended: Promise<number | string>
  /** What it had to say on stderr, which is nothing. */
  readonly complaint: Promise<string>
  state: State = 'starting'
  since = now()
  /** The last token it was granted, and how many transfers or audits it made. */
  token = 0
  done = 0
  /** What became of it, if it is worth telling. */
  fate = ''
  /** Killed or frozen inside: its mark there, and that it came to no end, is no surprise. */
  condemned = false

  constructor(name: string, role: Role, directory: string) {
    this.name = name
    this.role = role
    const program = fileURLToPath(new URL(`${role}.mjs`, import.meta.url))
    this.#child = fork(program, [name, directory], { stdio: ['ignore', 'ignore', 'pipe', 'ipc'] })
    this.complaint = text(this.#child.stderr!)
    this.ended = new Promise((resolve) => {
      this.#child.once('error', (error) => resolve(error.message))
      this.#child.once('exit', (code, signal) => resolve(code ?? signal!))
    })
  }

  get pid(): number {
    return this.#child.pid ?? 0
  }

  become(state: State): void {
    this.state = state
    this.since = now()
  }

  hear(listener: (message: Message) => void): void {
    this.#child.on('message', (message) => listener(message as Message))
  }

  order(order: Order): void {
    // The line may be gone; that its owner is gone too is told by `ended`.
    this.#child.send(order, () => {})
  }

  signal(signal: 'SIGKILL' | 'SIGSTOP' | 'SIGCONT'): void {
    this.#child.kill(signal)
  }
}
