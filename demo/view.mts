// The screen: on a terminal a picture that is drawn again ten times a second; elsewhere a line for
// whatever is worth one.

import { inspect, type LockState } from 'rootlock'

import type { Book, Note } from './book.mjs'
import type { Hand, State } from './hand.mjs'
import { now, terms } from './messages.mjs'
import * as paint from './paint.mjs'

const FRAME_MS = 100
const FEWEST_ROWS = 20
const ORDINALS = ['1st', '2nd', '3rd', '4th', '5th']

const ERASE_LINE = '\x1b[K'
const ERASE_BELOW = '\x1b[J'
const ERASE_ALL = '\x1b[2J\x1b[H'
// No cursor, and what is too long is cut off, for a line that wraps would be two.
const BEGIN = '\x1b[?25l\x1b[?7l'
const END = '\x1b[?7h\x1b[?25h'

const painted: Record<State, (text: string) => string> = {
  starting: paint.dim,
  resting: paint.dim,
  waiting: paint.dim,
  inside: paint.green,
  poised: paint.green,
  blocking: paint.yellow,
  frozen: paint.cyan,
  preempted: paint.cyan,
  killed: paint.red,
  home: paint.dim
}

export class View {
  readonly #book: Book
  readonly #directory: string
  readonly #live: boolean
  #timer: NodeJS.Timeout | undefined
  /** How many lines of the last picture are above the cursor. */
  #drawn = 0
  #lock: LockState | undefined

  constructor(book: Book, directory: string) {
    const { isTTY, rows } = process.stdout
    this.#book = book
    this.#directory = directory
    this.#live = Boolean(isTTY) && process.env['TERM'] !== 'dumb' && rows >= FEWEST_ROWS
  }

  begin(): void {
    if (!this.#live) return
    process.stdout.write(BEGIN)
    // What the terminal makes of the old picture when its size changes is anybody's guess.
    process.stdout.on('resize', this.#wipe)
    this.#timer = setInterval(() => {
      this.#draw()
      this.#look().catch((error: Error) => this.#book.trouble(`inspect(): ${error.message}`))
    }, FRAME_MS)
  }

  /** A line of the story was written. */
  note(note: Note): void {
    if (!this.#live) console.log(line(note))
  }

  /** The last picture, with as much of the story as leaves room for what follows. */
  end(following: number): void {
    clearInterval(this.#timer)
    this.#lock = undefined
    if (this.#live) this.#draw(following)
    else console.log(`\n${this.#table().join('\n')}`)
    this.restore()
  }

  /** Leaves the terminal as it was, whatever happens. */
  restore(): void {
    clearInterval(this.#timer)
    process.stdout.off('resize', this.#wipe)
    if (this.#live) process.stdout.write(END)
  }

  readonly #wipe = (): void => {
    process.stdout.write(ERASE_ALL)
    this.#drawn = 0
  }

  /** Asks the lock itself, as any third party may: this takes nothing and disturbs nobody. */
  async #look(): Promise<void> {
    this.#lock = await inspect(this.#directory, { staleMs: terms.staleMs })
  }

  #draw(following = 0): void {
    const { columns, rows } = process.stdout
    const free = rows - 1 - following
    const whole = [...this.#title(), ...this.#table(), '', ...this.#facts(), '']
    const head = whole.length <= free ? whole : this.#table()
    const room = free - head.length
    const story = room > 0 ? this.#book.notes.slice(-room) : []
    const lines = [...head, ...story.map((note) => line(note, columns))]
    const picture = lines.map((text) => `${text}${ERASE_LINE}\n`)
    const up = this.#drawn > 0 ? `\x1b[${this.#drawn}A` : ''
    process.stdout.write(`${up}\r${picture.join('')}${ERASE_BELOW}`)
    this.#drawn = picture.length
  }

  #title(): string[] {
    const { crew } = this.#book
    return [
      ` ${paint.bold('rootlock')}: ${crew.length} processes, one file of accounts, one lock`,
      ''
    ]
  }

  #table(): string[] {
    const names = `${'who'.padEnd(8)}${'pid'.padStart(8)}${'done'.padStart(6)}${'token'.padStart(18)}  what`
    return [` ${paint.dim(names)}`, ...this.#book.crew.map((hand) => this.#row(hand))]
  }

  #row(hand: Hand): string {
    const { name, pid, done, token, state } = hand
    const numbers = `${String(pid).padStart(8)}${String(done).padStart(6)}${String(token).padStart(18)}`
    return ` ${paint.bold(name.padEnd(8))}${numbers}  ${painted[state](this.#what(hand))}`
  }

  #what(hand: Hand): string {
    const time = paint.seconds(now() - hand.since)
    switch (hand.state) {
      case 'waiting':
        return this.#place(hand)
      case 'inside':
        return '● inside'
      case 'poised':
        return '● inside, about to publish'
      case 'blocking':
        return `● inside, event loop blocked, ${time}`
      case 'frozen':
        return `● FROZEN inside, ${time}`
      case 'preempted':
        return `○ FROZEN, lock taken over, ${time}`
      case 'killed':
        return '✗ KILLED inside'
      case 'home':
        return hand.fate || 'at home'
      default:
        return hand.state
    }
  }

  #place({ since }: Hand): string {
    const earlier = this.#book.crew.filter(
      (other) => other.state === 'waiting' && other.since < since
    )
    const waited = now() - since
    const time = waited > FRAME_MS ? `, ${paint.seconds(waited)}` : ''
    return `waits, ${ORDINALS[earlier.length] ?? 'last'} in line${time}`
  }

  #facts(): string[] {
    const { transfers, audits, takeovers, violations, begun } = this.#book
    const audited = audits.map((cents) => paint.money(cents)).at(-1) ?? '…'
    const moved = `${paint.bold(paint.count(transfers.length))} transfers`
    const right = `sum ${paint.bold(audited)} in ${audits.length} audits`
    const wrong = `takeovers ${takeovers.length}, violations ${violations.length}`
    const facts = [` ${moved}, ${right}, ${wrong}, ${paint.seconds(now() - begun)}`]
    if (this.#lock) facts.push(` the lock is ${this.#describe(this.#lock)}`)
    return facts
  }

  #describe({ state, holder, ageMs = 0 }: LockState): string {
    if (state === 'free') return state
    const name = this.#book.crew.find(({ pid }) => pid === holder?.pid)?.name ?? 'somebody'
    const text = `${state}, held by ${name}, last heartbeat ${paint.seconds(ageMs)} ago`
    return state === 'stale' ? paint.yellow(text) : text
  }
}

function line({ at, text, tone }: Note, width?: number): string {
  const time = paint.seconds(at).padStart(7)
  // A picture has one line for it, a log as many as it takes.
  const shown = width ? paint.cut(text.split('\n')[0]!, width - 11) : text
  return ` ${paint.dim(time)}  ${paint.toned[tone](shown)}`
}
