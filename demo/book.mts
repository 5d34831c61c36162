// What the director knows: everything that the crew told, and what it had to wait for.

import type { Hand } from './hand.mjs'
import { now, type Message, type Transfer } from './messages.mjs'

/** One stay under the lock. */
export interface Turn {
  readonly hand: Hand
  readonly token: number
  readonly asked: number
  readonly granted: number
  /** When it began to unlock. */
  releasing?: number
  /** Whether it was killed or frozen in there. */
  condemned: boolean
}

export type Tone = 'good' | 'bad' | 'cold' | 'plain'

/** A line of the story. */
export interface Note {
  readonly at: number
  readonly text: string
  readonly tone: Tone
}

interface Told {
  readonly hand: Hand
  readonly at: number
}

/** Something that had to happen did not, or something happened that must not. */
export class Trouble extends Error {
  override readonly name = 'Trouble'
}

export class Book {
  readonly begun = now()
  readonly crew: Hand[] = []
  readonly notes: Note[] = []
  readonly turns: Turn[] = []
  readonly transfers: Transfer[] = []
  readonly audits: number[] = []
  readonly refusals: (Told & { readonly token: number; readonly newest: number })[] = []
  readonly losses: (Told & { readonly reason: string; readonly told: number })[] = []
  readonly takeovers: (Told & { readonly token: number })[] = []
  readonly violations: string[] = []
  readonly #waits = new Set<() => void>()
  readonly #onNote: (note: Note) => void
  #trouble: Trouble | undefined

  constructor(onNote: (note: Note) => void) {
    this.#onNote = onNote
  }

  note(text: string, tone: Tone = 'plain'): void {
    const note = { at: now() - this.begun, text, tone }
    this.notes.push(note)
    this.#onNote(note)
  }

  /** Ends the story: whatever is waited for, is in vain. */
  trouble(text: string): Trouble {
    this.#trouble ??= new Trouble(text)
    this.note(text, 'bad')
    this.#news()
    return this.#trouble
  }

  /** Waits until `look` finds something, which it may whenever somebody told something. */
  until<T>(what: string, look: () => T | undefined, withinMs = 120_000): Promise<T> {
    return new Promise((resolve, reject) => {
      const end = (settle: () => void) => {
        clearTimeout(deadline)
        this.#waits.delete(again)
        settle()
      }
      const again = () => {
        if (this.#trouble) return end(() => reject(this.#trouble))
        const found = look()
        if (found !== undefined) end(() => resolve(found))
      }
      const deadline = setTimeout(() => {
        this.trouble(`waited ${withinMs / 1000} s in vain for this: ${what}`)
      }, withinMs)
      this.#waits.add(again)
      again()
    })
  }

  /** Takes somebody on: hears it, and hears of its end. */
  hire(hand: Hand): void {
    this.crew.push(hand)
    hand.hear((message) => {
      this.#enter(hand, message)
      this.#news()
    })
    void hand.ended.then((how) => this.#gone(hand, how))
  }

  /** It is about to be killed or frozen inside: its end there will be no surprise. */
  condemn(hand: Hand): Turn {
    const turn = this.turns.findLast(({ token }) => token === hand.token)!
    hand.condemned = true
    turn.condemned = true
    return turn
  }

  async #gone(hand: Hand, how: number | string): Promise<void> {
    if (this.#trouble || hand.state === 'killed') return
    if (how === 0) hand.become('home')
    else this.trouble(`${hand.name} ended by itself (${how}): ${await hand.complaint}`)
    this.#news()
  }

  #news(): void {
    for (const again of this.#waits) again()
  }

  #enter(hand: Hand, message: Message): void {
    const told = { hand, at: now() }
    switch (message.type) {
      case 'waits':
        return hand.become('waiting')
      case 'inside':
        return this.#inside(hand, message)
      case 'poised':
        return hand.become('poised')
      case 'blocks':
        return hand.become('blocking')
      case 'moved':
        this.transfers.push(message.transfer)
        hand.done += 1
        if (hand.state === 'preempted') this.trouble(`the late write of ${hand.name} was accepted`)
        return
      case 'audited':
        this.audits.push(message.sum)
        hand.done += 1
        return
      case 'refused':
        this.refusals.push({ ...told, ...message })
        return
      case 'lost':
        this.losses.push({ ...told, reason: message.reason, told: message.at })
        return
      case 'left':
        this.turns.findLast(({ token }) => token === message.token)!.releasing = message.releasing
        hand.condemned = false
        return hand.become('resting')
      case 'log':
        return this.#log(told, message)
    }
  }

  #inside(hand: Hand, message: Message & { type: 'inside' }): void {
    const { token, asked, granted, met } = message
    // Their word that they left is still on its way, on a line of its own.
    for (const other of this.crew) if (other.state === 'inside') other.become('resting')
    this.turns.push({ hand, token, asked, granted, condemned: false })
    hand.token = token
    hand.become('inside')
    for (const name of met) {
      if (this.crew.find((other) => other.name === name)?.condemned) continue
      this.violations.push(`${hand.name} met ${name}`)
      this.trouble(`VIOLATION: ${hand.name} was let in (token ${token}) while ${name} was inside`)
    }
  }

  #log({ hand, at }: Told, { message, details }: Message & { type: 'log' }): void {
    const { token, from, reason } = details
    if (message === 'took over a stale lock') {
      this.takeovers.push({ hand, at, token: Number(token) })
    }
    this.note(`${hand.name} logs: ${[message, from, reason].filter(Boolean).join(', ')}`)
  }
}
