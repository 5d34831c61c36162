// A child's side of the line to the director.

import { once } from 'node:events'

import type { Logger } from 'rootlock'

import type { Message, Order } from './messages.mjs'

const [, , name, directory] = process.argv
if (!name || !directory || !process.send) throw new Error('started by main.mjs only')

/** Who this is, and where the bank is. */
export const desk = { name, directory } as const

/** Resolves when it is on its way, for those who are about to block. */
export function tell(message: Message): Promise<void> {
  return new Promise((resolve) => process.send!(message, undefined, undefined, () => resolve()))
}

/** What the lock itself reports to an operator goes to the director's screen. */
export const logger: Logger = {
  warn: (message, details) => void tell({ type: 'log', message, details }),
  error: (message, details) => void tell({ type: 'log', message, details })
}

const home = new AbortController()

/** Aborts when it is time to go home: ends every wait and every rest. */
export const closing: AbortSignal = home.signal

/** Whether a wait or a rest ended because of that. Both say so in the same way. */
export const isClosing = (error: unknown): boolean =>
  closing.aborted && (error as Error).cause === closing.reason

let mishap: Order | undefined

process.on('message', (order: Order) => {
  if (order.do === 'close') home.abort()
  else if (order.do !== 'publish') mishap = order
})

/** The order that came since, once. */
export function takeOrder(): Order | undefined {
  const order = mishap
  mishap = undefined
  return order
}

export async function orderToPublish(): Promise<void> {
  let order: Order
  do [order] = (await once(process, 'message')) as [Order]
  while (order.do !== 'publish')
}

/** Ends the process, for the line to the director would keep it alive. */
export function goHome(): void {
  process.disconnect()
}

// Ctrl-C in a terminal reaches the whole group. What becomes of the crew is for the director to say,
process.on('SIGINT', () => {})
// and without a director there is nothing to do.
process.on('disconnect', () => {
  if (!closing.aborted) process.exit(1)
})
