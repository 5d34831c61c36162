import { spawn, type ChildProcess, type SpawnOptions, type StdioOptions } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

import type { ExecutionContext } from 'ava'
import type { Holder } from 'rootlock'

import { eventually, inTime } from './eventually.mjs'
import { kernelLocks } from './kernel-locks.mjs'
import { Messages } from './messages.mjs'

/** An error, as `plain` of parent.mts makes it. */
export interface PlainError {
  name: string
  message: string
  code: string
  errno: number
  syscall: string
  path: string
  reason: string
  holder: Holder
  cause: PlainError
}

/** A fixture's message. */
export interface Message extends PlainError {
  kind: string
  token: number
  level: string
  lost: boolean
  grants: number
  order: number[]
  atOnce: boolean
  warnings: string[]
  details: Record<string, string>
}

/** A running program. It is killed when the test ends. */
export class Child {
  readonly process: ChildProcess
  readonly pid: number
  /** Everything that it has printed, on either stream. */
  printed = ''
  readonly #messages = new Messages<Message>()
  #closed = false

  constructor(process: ChildProcess) {
    this.process = process
    this.pid = process.pid!
    for (const stream of [process.stdout, process.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => (this.printed += text))
    }
    process.on('message', (message: Message) => this.#messages.push(message))
    process.on('close', () => {
      this.#closed = true
      this.#messages.end(this.printed)
    })
  }

  /** The next message of a kind; earlier ones of other kinds are kept. */
  says(kind: string): Promise<Message> {
    return this.#messages.next(kind)
  }

  /** Whether a message of a kind has come that nobody has taken yet. */
  hasSaid(kind: string): boolean {
    return this.#messages.has(kind)
  }

  async prints(text: string): Promise<void> {
    await eventually(`the child prints ${text}`, () => this.printed.includes(text))
  }

  /** If it has just ended, `says` and `ends` tell; that it could not be told is no news. */
  tell(command: string, argument?: unknown): void {
    this.process.send({ command, argument }, () => {})
  }

  kill(signal: NodeJS.Signals = 'SIGKILL'): void {
    this.process.kill(signal)
  }

  /**
   * Stops it, and waits until all of its threads have stopped.
   *
   * @param root of a lock inside whose guard it must not be stopped: that would keep everybody out
   */
  async freeze(root?: string): Promise<void> {
    this.kill('SIGSTOP')
    if (process.platform !== 'linux') return
    await eventually('the child stands still', () =>
      readdirSync(`/proc/${this.pid}/task`).every((task) =>
        /\) T /.test(readFileSync(`/proc/${this.pid}/task/${task}/stat`, 'latin1'))
      )
    )
    if (root === undefined || !this.#isInGuard(root)) return
    this.thaw()
    await eventually('it leaves the guard', () => !this.#isInGuard(root))
    await this.freeze(root)
  }

  #isInGuard(root: string): boolean {
    return kernelLocks(root, '.lock.guard').some(({ pid, waits }) => pid === this.pid && !waits)
  }

  thaw(): void {
    this.kill('SIGCONT')
  }

  /** Resolves when it has ended and all of its output has arrived. */
  async ends(within?: number): Promise<{ code: number | null; signal: NodeJS.Signals | null }> {
    if (!this.#closed) await inTime('the child ends', once(this.process, 'close'), within)
    return { code: this.process.exitCode, signal: this.process.signalCode }
  }
}

/** The path of a fixture. */
export function fixture(name: string): string {
  return fileURLToPath(new URL(`../fixtures/${name}.mjs`, import.meta.url))
}

/**
 * Starts any program. Closing its standard input is a way to ask it to end. If it runs when the test ends,
 * it is killed: by `killSignal`, if it has something to clean up.
 */
export function program(
  t: ExecutionContext,
  command: string,
  args: string[],
  stdio: StdioOptions = 'pipe',
  more: Pick<SpawnOptions, 'cwd' | 'detached' | 'env' | 'killSignal'> = {}
): Child {
  const started = new Child(spawn(command, args, { stdio, ...more }))
  t.teardown(async () => {
    if (started.process.exitCode === null && started.process.signalCode === null) {
      started.process.kill(more.killSignal ?? 'SIGKILL')
    }
    await started.ends()
  })
  return started
}

/**
 * Starts a fixture, which talks to the test through `parent.mts`.
 *
 * @param through a command that runs the one that is appended to it
 */
export function child(
  t: ExecutionContext,
  name: string,
  input: object = {},
  through: string[] = []
): Child {
  const line = [...through, process.execPath, fixture(name), JSON.stringify(input)]
  return program(t, line[0]!, line.slice(1), ['ignore', 'pipe', 'pipe', 'ipc'])
}
