/** What the driver tells an actor. */
export class Cues {
  readonly #finish = new AbortController()
  #lingers = false

  /** Aborts when it is to end. */
  get finished(): AbortSignal {
    return this.#finish.signal
  }

  finish(): void {
    this.#finish.abort()
  }

  /** The lock that it holds now is to be held for long: what happens to its holder takes time. */
  linger(): void {
    this.#lingers = true
  }

  /** Whether it is to linger, this once. */
  takeLinger(): boolean {
    const lingers = this.#lingers
    this.#lingers = false
    return lingers
  }
}
