// Another process: does what it reads from its standard input, a word per line, and reports the outcome
// on its standard output, a JSON object per line. So any runtime can run it, beside any other.

import { createInterface } from 'node:readline'

import {
  tryLock,
  tryRLock,
  type LockError,
  type LockOptions,
  type Root,
  type UnlockFunc
} from 'rootlock'

import { open } from './check.mjs'
import { count } from './count.mjs'

export interface Part {
  /** What to lock, as `open` takes it. */
  root: string
  shared?: boolean
  options?: LockOptions
  /** Instead of holding the lock: how often to add to the number in the directory. */
  count?: number
  directory?: string
}

export interface Said {
  kind: 'held' | 'told' | 'unlocked' | 'waiting' | 'counted' | 'lost' | 'failed'
  token?: number
  code?: string
  reason?: string
}

const part = JSON.parse(process.argv[2]!) as Part

function say(said: Said): void {
  process.stdout.write(`${JSON.stringify(said)}\n`)
}

function told(kind: 'lost' | 'failed', { code, reason }: LockError): void {
  say({ kind, code, ...(reason && { reason }) })
}

let unlock: UnlockFunc

const words: Record<string, () => unknown> = {
  async unlock() {
    await unlock()
    say({ kind: 'unlocked', token: unlock.token })
  },
  /** For who blocks once this was told. */
  'unlock soon'() {
    say({ kind: 'told' })
    setTimeout(() => void unlock(), 50)
  },
  exit: () => process.exit(7),
  /** Ends by itself, if a held lock does not keep it alive. */
  leave: () => input.close()
}

const input = createInterface({ input: process.stdin })
input.on('line', (word) => void words[word]!())
input.on('close', () => process.stdin.destroy())

async function hold(root: Root | string): Promise<void> {
  const take = part.shared ? tryRLock : tryLock
  unlock = await take(root, { onWait: () => say({ kind: 'waiting' }), ...part.options })
  unlock.signal.addEventListener('abort', () => told('lost', unlock.signal.reason as LockError))
  say({ kind: 'held', token: unlock.token })
}

try {
  const root = await open(part.root)
  if (part.count === undefined) {
    await hold(root)
  } else {
    await count(root, part.directory!, part.count)
    say({ kind: 'counted' })
  }
} catch (error) {
  told('failed', error as LockError)
}
