// `npm start`: a crew of processes moves money between the accounts in one file, under the lock of
// the file's directory. One is killed in there, one is frozen and preempted, one is just busy. Exits
// 0 only if all of that happened and every cent is where it belongs.

import { mkdtempSync, rmSync } from 'node:fs'
import { constants, tmpdir } from 'node:os'
import { join } from 'node:path'

import { Bank } from './bank.mjs'
import { Book, Trouble } from './book.mjs'
import { Hand } from './hand.mjs'
import { bold, green, red } from './paint.mjs'
import { check, show, type Check } from './report.mjs'
import { canFreeze, Story } from './story.mjs'
import { View } from './view.mjs'

const TELLERS = ['Ada', 'Bob', 'Cleo', 'Dora', 'Emil', 'Fay']
const START = [250_000, 125_050, 99_999, 60_001, 180_000, 34_950, 240_000, 10_000]

const directory = mkdtempSync(join(tmpdir(), 'rootlock-demo-'))
const book = new Book((note) => view.note(note))
const view = new View(book, directory)

// However this ends, nothing and nobody is left behind: not the one who is stopped either.
process.on('exit', () => {
  view.restore()
  for (const hand of book.crew) hand.signal('SIGKILL')
  // More than once, for they may be in the middle of making a file.
  rmSync(directory, { recursive: true, force: true, maxRetries: 10 })
})
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(signal, () => {
    console.log(`\n${signal}: everybody goes home`)
    process.exit(128 + constants.signals[signal])
  })
}

const bank = new Bank(directory)
bank.found(START)
for (const name of TELLERS) book.hire(new Hand(name, 'teller', directory))
book.hire(new Hand('Auditor', 'auditor', directory))

view.begin()
const story = new Story(book, directory)
let checks: Check[]
try {
  await story.tell()
  checks = check(book, bank, START, story.outcome)
} catch (error) {
  if (!(error instanceof Trouble)) throw error
  checks = [{ claim: 'the story came to its end', but: [error.message] }]
  for (const hand of book.crew) hand.signal('SIGKILL')
}
const failed = checks.filter(({ but }) => but.length > 0)
const report = [
  '',
  ...show(checks),
  '',
  failed.length === 0
    ? ` ${green(bold('All of it is so.'))}`
    : ` ${red(bold(`${failed.length} of ${checks.length} claims are not so.`))}`
]
if (!canFreeze) report.push(` Nobody was frozen: ${process.platform} can't stop a process.`)
view.end(report.length)
console.log(report.join('\n'))
process.exitCode = failed.length === 0 ? 0 : 1
