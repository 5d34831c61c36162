import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'

import { inTime } from '../helpers/eventually.mjs'

/** A system call that a traced process made. */
export interface Call {
  thread: number
  /** By strace's name: `openat`, `newfstatat`. */
  name: string
  /** Which one of the phase, for people: `flock .lock.guard LOCK_EX|LOCK_NB`. */
  label: string
  injected: boolean
}

/** The fault to inject into the calls of one name. */
export interface Injection {
  name: string
  /** `3`: into the third of a thread; `1+`: into all. */
  when: string
  /** In strace's words: `error=EIO`, `signal=KILL`, `delay_enter=3s`. */
  what: string
}

/** A running process under strace: only calls that concern the lock are traced and counted. */
export class Trace {
  readonly #strace
  readonly #output: string
  readonly #root: string

  private constructor(pid: number, root: string, output: string, injection?: Injection) {
    this.#root = root
    this.#output = output
    const paths = ['', '.lock', '.lock.guard', '.lock.next'].flatMap((name) => [
      '-P',
      name ? join(root, name) : root
    ])
    // Starting a thread concerns no file.
    const files = injection?.name === 'clone3' ? ['-e', 'trace=clone3'] : paths
    // A call that is not traced is silently not injected either.
    const inject = injection
      ? ['-e', `inject=${injection.name}:${injection.what}:when=${injection.when}`]
      : []
    this.#strace = spawn(
      'strace',
      ['-f', '-y', '-s', '16', '-o', output, ...files, ...inject, '-p', String(pid)],
      { stdio: ['ignore', 'ignore', 'pipe'] }
    )
  }

  /** @param scratch a directory for the output, not the root */
  static async attach(
    pid: number,
    root: string,
    scratch: string,
    injection?: Injection
  ): Promise<Trace> {
    const trace = new Trace(pid, root, join(scratch, `trace-${pid}`), injection)
    let said = ''
    const attached = new Promise<void>((resolve, reject) => {
      trace.#strace.stderr.setEncoding('utf8').on('data', (text: string) => {
        said += text
        if (/Process \d+ attached/.test(said)) resolve()
      })
      trace.#strace.on('close', () => reject(new Error(`strace: ${said}`)))
      trace.#strace.on('error', reject)
    })
    await inTime('strace attaches', attached)
    return trace
  }

  /** Lets the process go on by itself. */
  async detach(): Promise<Call[]> {
    if (this.#strace.exitCode === null && this.#strace.signalCode === null) {
      this.#strace.kill('SIGINT')
      await inTime('strace ends', once(this.#strace, 'close'))
    }
    return parse(await readFile(this.#output, 'utf8'), this.#root)
  }
}

function parse(text: string, root: string): Call[] {
  const begun = new Map<string, string>()
  const calls: Call[] = []
  for (const line of text.split('\n')) {
    const [, thread, rest] = /^(\d+) +(.*)$/.exec(line) ?? []
    if (!thread || !rest) continue
    const [unfinished, start] = /^(.*) <unfinished \.\.\.>$/.exec(rest) ?? []
    if (unfinished !== undefined) {
      begun.set(thread, start!)
      continue
    }
    const [resumed, , end] = /^<\.\.\. (\w+) resumed>(.*)$/.exec(rest) ?? []
    const whole = resumed === undefined ? rest : `${begun.get(thread)}${end}`
    begun.delete(thread)
    const [, name, args] = /^(\w+)\((.*)/.exec(whole) ?? []
    if (!name) continue
    calls.push({
      thread: Number(thread),
      name,
      label: label(name, args!, root),
      injected: / \((INJECTED|DELAYED)\)/.test(whole)
    })
  }
  // Calls that never returned: the process was killed in them.
  for (const [thread, whole] of begun) {
    const [, name, args] = /^(\w+)\((.*)/.exec(whole) ?? []
    if (name) {
      calls.push({ thread: Number(thread), name, label: label(name, args!, root), injected: false })
    }
  }
  return calls
}

function label(name: string, args: string, root: string): string {
  const quoted = [...args.matchAll(/"([^"]*)"/g)].map(([, path]) => path!)
  const named = name.startsWith('p') || quoted[0] === '' ? undefined : quoted.at(-1)
  const descriptor = /^\d+<([^>]*)>/.exec(args)?.[1]
  const path = (named ?? descriptor ?? '').replace(`${root}/`, '').replace(root, 'root')
  const how = /LOCK_\w+(\|LOCK_NB)?|F_OFD_\w+|O_EXCL|AT_EMPTY_PATH|RESOLVE_CACHED/.exec(args)?.[0]
  return [name, path, how].filter(Boolean).join(' ')
}
