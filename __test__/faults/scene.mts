import { mkdtemp } from 'node:fs/promises'
import { join } from 'node:path'

import type { ExecutionContext } from 'ava'
import type { LockOptions } from 'rootlock'

import { child, type Child, type PlainError } from '../helpers/child.mjs'
import { nativeThreads } from '../helpers/native-threads.mjs'
import { openFiles } from '../helpers/open-files.mjs'
import { temporaryRoot } from '../helpers/temporary-root.mjs'

/** The result of a step of the subject. */
export interface Result {
  token?: number
  error?: PlainError
}

/** A root, a subject whose calls fail, and perhaps a holder in its way; removed when the scene ends. */
export class Scene {
  readonly root: string
  /** For files that must not be in the root. */
  readonly scratch: string
  readonly subject: Child
  /** The highest token that was granted so far. */
  token = 0
  holder: Child | undefined
  readonly #endings: (() => unknown)[]

  private constructor(root: string, scratch: string, subject: Child, endings: (() => unknown)[]) {
    this.root = root
    this.scratch = scratch
    this.subject = subject
    this.#endings = endings
  }

  static async open(options: LockOptions = {}): Promise<Scene> {
    const endings: (() => unknown)[] = []
    const t = teardown(endings)
    const scratch = await temporaryRoot(t)
    const root = await mkdtemp(join(scratch, 'root-'))
    const subject = child(t, 'subject', { root, options })
    await subject.says('ready')
    return new Scene(root, scratch, subject, endings)
  }

  /** As in a test: what to do at the end. */
  get t(): ExecutionContext {
    return teardown(this.#endings)
  }

  async ask(command: string, kind: string, argument?: unknown): Promise<Result> {
    this.subject.tell(command, argument)
    return this.#result(await this.subject.says(kind))
  }

  /** A step that must not be disturbed. */
  async must(command: string, kind: string, argument?: unknown): Promise<Result> {
    const result = await this.ask(command, kind, argument)
    if (result.error) throw new Error(`${command} failed: ${result.error.message}`)
    return result
  }

  /** What the subject reports later of an earlier request. */
  async hears(kind: string): Promise<Result> {
    return this.#result(await this.subject.says(kind))
  }

  #result(message: object): Result {
    const { token, error } = message as Result
    return { ...(token !== undefined && { token }), ...(error && { error }) }
  }

  /** The descriptors that the subject has in the root. */
  openInRoot(): string[] {
    const paths = openFiles(this.subject.pid).map(([, path]) => path)
    return paths.filter((path) => path.startsWith(this.root))
  }

  /** The native threads that the subject has. */
  threads(): string[] {
    return nativeThreads(this.subject.pid)
  }

  async end(): Promise<void> {
    for (const ending of this.#endings.toReversed()) await ending()
  }
}

/** The helpers need no more of a test than this. */
function teardown(endings: (() => unknown)[]): ExecutionContext {
  return { teardown: (ending: () => unknown) => endings.push(ending) } as never
}
