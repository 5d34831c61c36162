// The story: what befalls the crew, and what has to come of it.

import { setTimeout as pass } from 'node:timers/promises'

import { inspect } from 'rootlock'

import type { Book } from './book.mjs'
import type { Hand } from './hand.mjs'
import { now, terms } from './messages.mjs'
import { millis } from './paint.mjs'

/** What the story has measured: in milliseconds. Missing: it did not come to that. */
export interface Outcome {
  killed?: { readonly hand: Hand; readonly next: Hand; readonly ms: number }
  preempted?: { readonly hand: Hand; readonly by: Hand; readonly ms: number }
  woken?: { readonly toldMs: number; readonly reason: string }
  blocked?: { readonly hand: Hand; readonly ms: number }
}

/** Windows has no way to stop a process from outside. */
export const canFreeze = process.platform !== 'win32'

export class Story {
  readonly outcome: Outcome = {}
  readonly #book: Book
  readonly #directory: string

  constructor(book: Book, directory: string) {
    this.#book = book
    this.#directory = directory
  }

  async tell(): Promise<void> {
    const { crew } = this.#book
    const tellers = crew.filter(({ role }) => role === 'teller')
    const [, frozen, killed, , blocked] = tellers as [Hand, Hand, Hand, Hand, Hand]
    this.#book.note(`${tellers.length} tellers and an auditor come to work, each a process`)
    await this.#book.until('everybody has worked', () => all(crew, ({ done }) => done > 0))
    await this.#aWhile()
    await this.#kill(killed)
    await this.#aWhile()
    if (canFreeze) await this.#freeze(frozen)
    await this.#aWhile()
    await this.#block(blocked)
    await this.#aWhile()
    await this.#close()
  }

  /** Business as usual: for a good look at it, but not for long on a machine that is busy. */
  async #aWhile(): Promise<void> {
    const { transfers, audits } = this.#book
    const [moved, audited, begun] = [transfers.length, audits.length, now()]
    await this.#book.until('business as usual', () => {
      const least = now() - begun > 3_000 ? 10 : 200
      return found(transfers.length >= moved + least && audits.length > audited)
    })
  }

  /** Has a teller stop inside, its new state written but not published. */
  async #poise(hand: Hand): Promise<void> {
    hand.order({ do: 'poise' })
    await this.#book.until(`${hand.name} is inside`, () => found(hand.state === 'poised'))
  }

  /**
   * A heartbeat takes some microseconds, in which nobody may be preempted: who is stopped just then
   * keeps the lock until it wakes. That is rare, and not this story.
   */
  async #betweenBeats(): Promise<void> {
    const { heartbeatMs, staleMs } = terms
    const deadline = now() + 120_000
    while (now() < deadline) {
      const { ageMs = 0 } = await inspect(this.#directory, { staleMs })
      if (ageMs > heartbeatMs * 0.2 && ageMs < heartbeatMs * 0.5) return
      await pass(5)
    }
    throw this.#book.trouble('no heartbeat is seen')
  }

  async #kill(hand: Hand): Promise<void> {
    const book = this.#book
    await this.#poise(hand)
    const turn = book.condemn(hand)
    hand.become('killed')
    const at = now()
    hand.signal('SIGKILL')
    book.note(`${hand.name} is killed inside, half-way through its write (SIGKILL)`, 'bad')
    const next = await book.until(`somebody is let in after ${hand.name}`, () =>
      book.turns.find(({ token }) => token > turn.token)
    )
    const killed = { hand, next: next.hand, ms: next.granted - at }
    this.outcome.killed = killed
    book.note(`${next.hand.name} is let in ${millis(killed.ms)} after the kill`, 'good')
  }

  async #freeze(hand: Hand): Promise<void> {
    const book = this.#book
    await this.#poise(hand)
    await this.#betweenBeats()
    book.condemn(hand)
    hand.become('frozen')
    const at = now()
    hand.signal('SIGSTOP')
    book.note(`${hand.name} is frozen inside, about to publish its write (SIGSTOP)`, 'cold')
    const next = await book.until(`somebody takes over from ${hand.name}`, () =>
      book.turns.find((turn) => turn.token === book.takeovers[0]?.token)
    )
    const preempted = { hand, by: next.hand, ms: next.granted - at }
    this.outcome.preempted = preempted
    hand.become('preempted')
    book.note(`${next.hand.name} takes over ${millis(preempted.ms)} after the freeze`, 'good')
    // The others work on what it has read, so that its late write would undo theirs.
    const published = book.transfers.length + 10
    await book.until('the others work on', () => found(book.transfers.length >= published))
    await this.#wake(hand)
  }

  async #wake(hand: Hand): Promise<void> {
    const book = this.#book
    // It finds the order when it wakes: the write that it was about to make.
    hand.order({ do: 'publish' })
    const at = now()
    hand.signal('SIGCONT')
    book.note(`${hand.name} wakes up, and publishes (SIGCONT)`, 'cold')
    const refusal = await book.until(`${hand.name}'s late write is refused`, () => book.refusals[0])
    book.note(`the bank refuses: token ${refusal.token} is behind ${refusal.newest}`, 'good')
    const loss = await book.until(`${hand.name} is told of its loss`, () => book.losses[0])
    const woken = { toldMs: loss.told - at, reason: loss.reason }
    this.outcome.woken = woken
    book.note(`unlock.signal told it ${millis(woken.toldMs)} after it woke: ${loss.reason}`, 'good')
    await book.until(`${hand.name} unlocks`, () => found(!hand.condemned))
    const before = hand.done
    await book.until(`${hand.name} goes on`, () => found(hand.done > before))
    hand.fate = 'was frozen and preempted, went on'
    book.note(`${hand.name}'s unlock() resolved all the same; it works again`)
  }

  async #block(hand: Hand): Promise<void> {
    const book = this.#book
    const time = 3 * terms.staleMs
    hand.order({ do: 'block', ms: time })
    await book.until(`${hand.name} is inside`, () => found(hand.state === 'blocking'))
    const { token } = hand
    book.note(`${hand.name} blocks its event loop inside, for ${time / 1000} s`, 'cold')
    const stay = await book.until(`${hand.name} is out`, () =>
      book.turns.find((turn) => turn.token === token && turn.releasing !== undefined)
    )
    this.outcome.blocked = { hand, ms: stay.releasing! - stay.granted }
    hand.fate = `blocked for ${time / 1000} s, kept its lock`
    book.note('it kept its lock all the time: the heart beats on a native thread', 'good')
  }

  async #close(): Promise<void> {
    const { crew } = this.#book
    for (const hand of crew) if (hand.state !== 'killed') hand.order({ do: 'close' })
    await this.#book.until('everybody goes home', () =>
      all(crew, ({ state }) => state === 'home' || state === 'killed')
    )
    this.#book.note('the bank closes')
  }
}

/** For `until`, which waits for something. */
const found = (yes: boolean): true | undefined => yes || undefined

const all = (crew: readonly Hand[], test: (hand: Hand) => boolean): true | undefined =>
  found(crew.every(test))
