// The run's view of its lock, which another process, the keeper, holds.

import { fork, type ChildProcess } from 'node:child_process'
import { EventEmitter, once } from 'node:events'
import type { Socket } from 'node:net'

import { exits } from './exits'
import { Failure } from './failure'
import { KEEPER } from './inner-verbs'
import { LINE, type FromKeeper, type Terms, type ToKeeper } from './keeper-words'
import type { Witness } from './signals'

type Grant = Extract<FromKeeper, { kind: 'granted' }>

interface Events {
  /** The keeper received a signal. */
  signal: [signal: NodeJS.Signals]
  /** The lock was lost. */
  lost: [message: string]
  told: []
  kept: []
}

export class KeptLock extends EventEmitter<Events> implements Witness {
  /** The lock is held as long as any process has this end of the line. */
  readonly line: Socket | undefined
  /** The grant, or nothing if there was none. */
  readonly answered: Promise<Grant | undefined>
  /** The keeper has ended. */
  readonly ended: Promise<void>
  lost = false
  readonly #keeper: ChildProcess
  #hasLetGo = false

  constructor(terms: Terms) {
    super()
    // The first message tells what to lock: everybody sees the arguments, and a URL may have a password.
    const keeper = fork(__filename, [KEEPER, terms.directory], {
      stdio: ['ignore', 'ignore', 'inherit', 'overlapped', 'ipc']
    })
    this.#keeper = keeper
    // If no descriptors are left, there is neither channel nor line; that is reported below.
    keeper.send?.(terms, () => {})
    this.line = keeper.stdio?.[LINE] as Socket | undefined
    this.line?.on('error', () => {})
    let granted: Grant | undefined
    this.ended = new Promise((resolve, reject) => {
      keeper.on('exit', () => resolve())
      keeper.on('error', (error) => {
        if (keeper.pid !== undefined) return
        const next = 'The lock needs a process of its own: find out why Node can not start one'
        const message = `could not start the process that holds the lock: ${error.message}`
        reject(new Failure(message, next, exits.unavailable))
      })
    })
    this.answered = new Promise((resolve, reject) => {
      keeper.on('message', (words: FromKeeper) => {
        if (words.kind === 'granted') resolve((granted = words))
      })
      this.ended.then(() => resolve(undefined), reject)
    })
    keeper.on('message', (words: FromKeeper) => {
      if (words.kind === 'signal') this.emit('signal', words.signal)
      else if (words.kind === 'lost') this.#lose(words.message)
      else if (words.kind !== 'granted') this.emit(words.kind)
    })
    keeper.on('exit', () => {
      if (!granted || this.#hasLetGo) return
      this.#lose(`lock was lost: the process that held it, pid ${keeper.pid}, has ended`)
    })
  }

  #lose(message: string): void {
    if (this.lost) return
    this.lost = true
    this.emit('lost', message)
  }

  async hasTold(): Promise<void> {
    const told = once(this, 'told')
    this.#say({ kind: 'tell' })
    await Promise.race([told, this.ended])
  }

  /** Lets go of this end of the line: from now on the end of the keeper is no loss. */
  letGo(): void {
    this.#hasLetGo = true
    this.line?.destroy()
  }

  /** Whether the lock was released when the command ended, or its children still hold it. */
  async workEnded(): Promise<'released' | 'kept'> {
    this.letGo()
    const kept = once(this, 'kept').then(() => 'kept' as const)
    this.#say({ kind: 'ended' })
    const how = await Promise.race([kept, this.ended.then(() => 'released' as const)])
    if (how === 'kept') {
      this.#keeper.disconnect()
      this.#keeper.unref()
    }
    return how
  }

  /** The keeper's exit code; it has printed the reason. */
  exitCode(): number {
    const { exitCode, signalCode, pid } = this.#keeper
    if (exitCode !== null) return exitCode
    const next = 'The command was not run: try again'
    throw new Failure(
      `the process that was to hold the lock, pid ${pid}, was killed by ${signalCode}`,
      next,
      exits.unavailable
    )
  }

  #say(words: ToKeeper): void {
    if (this.#keeper.connected) this.#keeper.send(words, () => {})
  }
}
