// What came of it. Every claim is checked: by what is in the file, by what the crew told, and by
// the clock, none of which knows of the others.

import { isDeepStrictEqual } from 'node:util'

import { apply, sum, type Bank, type State } from './bank.mjs'
import type { Book, Turn } from './book.mjs'
import { terms } from './messages.mjs'
import { count, green, millis, money, red } from './paint.mjs'
import { canFreeze, type Outcome } from './story.mjs'

/** A claim, and what speaks against it: nothing, if it is so. */
export interface Check {
  readonly claim: string
  readonly but: readonly string[]
}

/** Objections that hold. */
type Objection = readonly [holds: boolean, text: string]

const claimed = (claim: string, ...objections: Objection[]): Check => ({
  claim,
  but: objections.filter(([holds]) => holds).map(([, text]) => text)
})

export function check(book: Book, bank: Bank, start: readonly number[], outcome: Outcome): Check[] {
  const state = bank.read()
  const turns = book.turns.toSorted((a, b) => a.token - b.token)
  return [
    ...checkMoney(book, state, start),
    ...checkExclusion(book, turns),
    ...checkFates(book, bank, outcome)
  ]
}

export function show(checks: readonly Check[]): string[] {
  return checks.flatMap(({ claim, but }) => [
    but.length > 0 ? ` ${red('✗')} ${claim}` : ` ${green('✓')} ${claim}`,
    ...but.map((text) => `   ${red(`but ${text}`)}`)
  ])
}

function checkMoney(
  book: Book,
  { accounts, journal, token }: State,
  start: readonly number[]
): Check[] {
  const due = sum(start)
  const computed = journal.reduce<readonly number[]>(apply, start)
  const told = book.transfers.toSorted((a, b) => a.number - b.number)
  const risen = journal.every((entry, index) => entry.token > (journal[index - 1]?.token ?? 0))
  const wrong = book.audits.filter((cents) => cents !== due).length
  return [
    claimed(`the sum is ${money(sum(accounts))}: what it was, to the cent`, [
      sum(accounts) !== due,
      `it was ${money(due)}`
    ]),
    claimed(
      `each of the ${accounts.length} accounts is its start plus its transfers, none overdrawn`,
      [!isDeepStrictEqual(accounts, computed), `by the journal they are ${computed.map(money)}`],
      [accounts.some((cents) => cents < 0), `they are ${accounts.map(money)}`]
    ),
    claimed(
      `${count(journal.length)} transfers, none missing or twice, tokens strictly rising`,
      [!journal.every(({ number }, index) => number === index + 1), 'the journal has a gap'],
      [!risen || token !== journal.at(-1)?.token, 'the tokens do not'],
      [!isDeepStrictEqual(journal, told), 'what the tellers told is something else']
    ),
    claimed(`${book.audits.length} audits meanwhile, each right to the cent`, [
      wrong > 0,
      `${wrong} were not`
    ])
  ]
}

function checkExclusion(book: Book, turns: readonly Turn[]): Check[] {
  const pairs = turns.slice(1).map((turn, index) => [turns[index]!, turn] as const)
  const overlaps = pairs.filter(([before, { granted }]) =>
    // One that was condemned left late or never.
    before.condemned ? granted < before.granted : !(granted >= before.releasing!)
  )
  const handOvers = pairs
    .filter(([before, { asked }]) => !before.condemned && asked < before.releasing!)
    .map(([before, { granted }]) => granted - before.releasing!)
    .toSorted((a, b) => a - b)
  const median = handOvers[Math.floor(handOvers.length / 2)]
  return [
    claimed(
      `${count(turns.length)} times somebody was inside, and never two together`,
      [book.violations.length > 0, book.violations.join('; ')],
      [overlaps.length > 0, `by the clock it happened ${overlaps.length} times`]
    ),
    claimed(
      `hand-over to the next in line: ${millis(median ?? NaN)} at the median of ${count(handOvers.length)}`,
      [median === undefined, 'nobody waited']
    )
  ]
}

function checkFates(book: Book, bank: Bank, outcome: Outcome): Check[] {
  const { killed, preempted, woken, blocked } = outcome
  const once = canFreeze ? 1 : 0
  const drafts = bank.drafts().length
  return [
    claimed(
      killed
        ? `${killed.hand.name} was killed inside: ${killed.next.name} was in ${millis(killed.ms)} later; no half-made write counted`
        : 'one was killed inside',
      [!killed, 'it did not come to that'],
      [killed !== undefined && drafts !== 1, `there are ${drafts} half-made writes, not 1`]
    ),
    ...(canFreeze ? checkFreeze(book, preempted, woken) : []),
    claimed(
      blocked
        ? `${blocked.hand.name} blocked its event loop inside for ${millis(blocked.ms)}, and kept its lock`
        : 'one blocked its event loop inside',
      [!blocked, 'it did not come to that'],
      [(blocked?.ms ?? Infinity) < 3 * terms.staleMs, 'that was too short to show anything']
    ),
    claimed(
      'otherwise no lock was lost, taken over or written under late',
      [
        book.takeovers.length > once,
        `there were ${book.takeovers.length} takeovers: was the machine too busy for a heartbeat?`
      ],
      [
        book.losses.length > once,
        `there were ${book.losses.length} losses: was the machine too busy for a heartbeat?`
      ],
      [book.refusals.length > once, `there were ${book.refusals.length} late writes`]
    )
  ]
}

function checkFreeze(
  book: Book,
  preempted: Outcome['preempted'],
  woken: Outcome['woken']
): Check[] {
  const refused = book.refusals.find(({ hand }) => hand === preempted?.hand)
  return [
    claimed(
      preempted
        ? `${preempted.hand.name} was frozen inside: ${preempted.by.name} took over ${millis(preempted.ms)} later`
        : 'one was frozen inside, and preempted',
      [!preempted, 'it did not come to that']
    ),
    claimed(
      woken
        ? `… it woke up: unlock.signal told it within ${millis(woken.toldMs)} (${woken.reason})`
        : '… it woke up, and was told',
      [!woken, 'it did not come to that'],
      [woken !== undefined && woken.reason !== 'hijacked', 'it was hijacked']
    ),
    claimed(`… its late write was refused by its token; unlock() resolved, it went on`, [
      !refused,
      'it did not come to that'
    ])
  ]
}
