// The doctor's trial: two processes compete for a lock that nobody else uses.

import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'

import { tryLock, type Root } from '../index'
import { codeOf, isHeld, remedy } from './failure'
import type { Finding } from './finding'
import { PARTNER } from './inner-verbs'
import type { Answer } from './partner'

const DEADLINE_MS = 30_000

/** The advice where the system's error suggests nothing better. */
const NEXT =
  'Locks do not work here: use a directory on a local file system, or another server, and report this output'

/** What is locked: `where` for another process, `root` in this one. */
export interface Subject {
  where: string
  root: string | Root
  fileName: string
}

/** The other process. */
class Partner {
  readonly #process: ChildProcess
  readonly #ended: Promise<void>

  constructor({ where, fileName }: Subject) {
    this.#process = fork(__filename, [PARTNER, fileName], {
      stdio: ['ignore', 'ignore', 'inherit', 'ipc']
    })
    this.#process.send(where, () => {})
    this.#ended = new Promise((resolve, reject) => {
      this.#process.on('exit', () => resolve()).on('error', reject)
    })
    // Checked when there is something to wait for.
    this.#ended.catch(() => {})
  }

  get pid(): number | undefined {
    return this.#process.pid
  }

  async lock(): Promise<void> {
    const answered = once(this.#process, 'message', deadline()) as Promise<[Answer]>
    this.#process.send('lock', () => {})
    const [answer] = await Promise.race([answered, this.#gone()])
    if (answer !== 'locked') throw Object.assign(new Error(answer.message), answer)
  }

  unlock(): void {
    this.#process.send('unlock', () => {})
  }

  kill(): void {
    this.#process.kill('SIGKILL')
  }

  /** Resolves when it creates no more files. */
  ended(): Promise<void> {
    return this.#ended
  }

  async #gone(): Promise<never> {
    await this.#ended
    throw new Error('the second process was ended')
  }
}

const deadline = () => ({ signal: AbortSignal.timeout(DEADLINE_MS) })

export async function* trial(subject: Subject, stop: AbortSignal): AsyncGenerator<Finding> {
  if (stop.aborted) return
  const partner = new Partner(subject)
  // Its end ends everything that is waited for.
  stop.addEventListener('abort', () => partner.kill())
  try {
    for (const step of [excludes, handsOver, frees]) yield await step(partner, subject)
  } catch (error) {
    const { message } = error as Error
    const { where, root } = subject
    const next = (where === root && remedy(codeOf(error), where)) || NEXT
    yield { verdict: 'fail', what: `two processes can't share a lock in it: ${message}`, next }
  } finally {
    partner.kill()
    await partner.ended().catch(() => {})
  }
}

type Step = (partner: Partner, subject: Subject) => Promise<Finding>

const excludes: Step = async (partner, { root, fileName }) => {
  await partner.lock()
  try {
    await tryLock(root, { fileName, wait: false })
  } catch (error) {
    if (!isHeld(error)) throw error
    const named = error.holder?.pid === partner.pid ? ', and the error names the holder' : ''
    return { verdict: 'ok', what: `a second process can't acquire a held lock${named}` }
  }
  throw new Error('both acquired the lock')
}

const handsOver: Step = (partner, subject) =>
  acquiresWhen('it is unlocked', () => partner.unlock(), subject)

const frees: Step = async (partner, subject) => {
  await partner.lock()
  return acquiresWhen('its holder is killed', () => partner.kill(), subject)
}

/** Waits for the partner's lock, which it is then made to give up. */
async function acquiresWhen(
  what: string,
  giveUp: () => void,
  { root, fileName }: Subject
): Promise<Finding> {
  let begun = 0
  const onWait = () => {
    begun = performance.now()
    giveUp()
  }
  const unlock = await tryLock(root, { fileName, onWait, ...deadline() })
  const ms = performance.now() - begun
  await unlock()
  return {
    verdict: 'ok',
    what: `a waiter acquires the lock when ${what} (${ms.toFixed(1)} ms)`
  }
}
