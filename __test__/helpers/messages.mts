import { EventEmitter, once } from 'node:events'

import { inTime } from './eventually.mjs'

/** Messages, kept until they are asked for. */
export class Messages<M extends { kind: string }> {
  readonly #kept: M[] = []
  readonly #news = new EventEmitter().setMaxListeners(0)
  #end: string | undefined

  push(message: M): void {
    this.#kept.push(message)
    this.#news.emit('news')
  }

  /** No more messages will come; `why` is the error for anybody still waiting for one. */
  end(why: string): void {
    this.#end = why
    this.#news.emit('news')
  }

  /** The next message of a kind; earlier ones of other kinds are kept. */
  next(kind: string): Promise<M> {
    const next = inTime(`it says ${kind}`, this.#next(kind))
    // The listener may end before the message comes.
    next.catch(() => {})
    return next
  }

  /** Whether a message of a kind has come that nobody has taken yet. */
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
