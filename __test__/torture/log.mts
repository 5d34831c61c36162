import { closeSync, openSync, readdirSync, readFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'

export type Mode = 'exclusive' | 'shared'

/** An actor's event. */
type ByActor =
  | { what: 'start'; pid: number; clock?: string }
  | { what: 'end' }
  | { what: 'ask'; id: number; mode: Mode; wait: boolean; abortAfter?: number }
  | { what: 'granted'; id: number; token: number; file?: number }
  | { what: 'refused'; id: number; code: string; because: string; message?: string }
  /** What it wanted to open since then could not be reached; it tries again. */
  | { what: 'away'; since: number; message: string }
  /** Neither a lock nor an expected answer. */
  | { what: 'failed'; id: number; message: string }
  /** `stamped`: when the lock file was last refreshed, if its holder can still tell. */
  | { what: 'lost'; id: number; reason: string; stamped?: number }
  /** Before the unlock. */
  | { what: 'release'; id: number }
  | { what: 'released'; id: number }
  | { what: 'log'; id: number; message: string; from?: string }
  | { what: 'value'; id: number; value: number }
  /** A thread that only looks at the clock was not run from `from` until now. */
  | { what: 'gap'; from: number }

/** The driver's event. */
type ByDriver =
  | { what: 'freeze' | 'thaw' | 'kill' | 'terminate'; target: string }
  /** It happened between `from` and now. */
  | { what: 'unlink' | 'replace'; from: number }
  | { what: 'truncate' | 'scribble' | 'rename' | 'rename back' }
  | { what: 'touch' | 'step clock'; by: number }
  /** The links of the processes in a place: stopped, cut or slowed down until they are restored. */
  | { what: 'link stop' | 'link cut' | 'link restore'; place: number }
  | { what: 'link slow'; place: number; by: number }
  /** Of the server; also between `from` and now. */
  | { what: 'restart'; how: 'fast' | 'immediate'; from: number }
  | { what: 'end session' | 'stop member'; from: number }
  /** So many locks were held, and waited for, when all had ended. */
  | { what: 'left'; held: number; waiting: number }
  /** An actor did not end though nothing disturbed it any more. */
  | { what: 'stuck'; target: string; after: number }

/** The store's event. */
type ByStore =
  | { what: 'read' | 'write'; by: string; token: number; value: number }
  | { what: 'turned away'; by: string; token: number; newest: number }
  /** Accepted, though somebody else had written since the writer read. */
  | { what: 'lost update'; by: string; token: number; base: number; value: number }

/**
 * Something that happened, at `at` microseconds of the monotonic clock, which Linux shares between
 * processes. `who` is a process (`p3.2`, the second in the third place), a thread of one
 * (`p3.2/w1.4`), `driver`, `store` or `flock`.
 */
export type Event = { at: number; who: string } & (ByActor | ByDriver | ByStore)

type WithoutStamp<E> = E extends unknown ? Omit<E, 'at' | 'who'> : never

export function now(): number {
  return Number(process.hrtime.bigint() / 1_000n)
}

/**
 * One file per writer: a line is one write, so a killed process leaves whole lines, and
 * everything before.
 */
export class Log {
  readonly #who: string
  readonly #file: number

  constructor(folder: string, who: string, topic = 'log') {
    this.#who = who
    this.#file = openSync(join(folder, `${who.replaceAll('/', '-')}.${topic}.ndjson`), 'a')
  }

  say(event: WithoutStamp<Event>, at = now()): void {
    writeSync(this.#file, `${JSON.stringify({ at, who: this.#who, ...event })}\n`)
  }

  close(): void {
    closeSync(this.#file)
  }
}

/** All events logged in a folder, in the order in which they happened. */
export function readLogs(folder: string): Event[] {
  const events = readdirSync(folder)
    .filter((name) => name.endsWith('.ndjson'))
    .flatMap((name) => readFileSync(join(folder, name), 'utf8').trimEnd().split('\n'))
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Event)
  return events.toSorted((one, other) => one.at - other.at)
}
