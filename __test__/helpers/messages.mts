import { EventEmitter, once } from 'node:events'

import { inTime } from './eventually.mjs'

/** What somebody else says, kept until it is asked for. */
export class Messages<M extends { kind: string }> {
  readonly #kept: M[] = []
  readonly #news = new EventEmitter().setMaxListeners(0)
  #end: string | undefined

  push(message: M): void {
    this.#kept.push(message)
    this.#news.emit('news')
  }

  /** Nothing more will come; `why` is for whoever still expects something. */
  end(why: string): void {
    this.#end = why
    this.#news.emit('news')
  }

  /** The next message of a kind; others that came before it are kept. */
  next(kind: string): Promise<M> {
    const next = inTime(`it says ${kind}`, this.#next(kind))
    // Who has begun to listen may end before it comes.
    next.catch(() => {})
    return next
  }

  /** Whether a message of a kind has come that nobody has asked for yet. */
  has(kind: string): boolean {
    return this.#kept.some((message) => message.kind === kind)
  }

  async #next(kind: string): Promise<M> {
    for (;;) {
      const index = this.#kept.findIndex((message) => message.kind === kind)
      if (index >= 0) return this.#kept.splice(index, 1)[0]!
      if (this.#end !== undefined) throw new Error(`it ended before it said ${kind}: ${this.#end}`)
      await once(this.#news, 'news')
    }
  }
}
