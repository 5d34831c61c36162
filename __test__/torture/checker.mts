// The claims about a history, and whether they hold. Pure: events in, violations out. What each
// disturbance voids is documented in docs/reliability.md, and decided here and in the check of each stage.

import type { Verdict, Violation } from './check.mjs'
import { DirectoryCheck } from './directory-check.mjs'
import type { Event } from './log.mjs'
import type { Engine, Terms } from './plan.mjs'
import { ServerCheck } from './server-check.mjs'

export type { Tally, Verdict, Violation } from './check.mjs'

/**
 * Whether an unnoticed standstill of the machine could look like this: true of claims that something
 * happens in time. Two holders, a lost update, a token that does not rise or a
 * crash are always our fault.
 */
export function mayBeTheMachines({ claim, early }: Violation): boolean {
  if (early === true) return false
  return [
    'a live holder is not preempted',
    'a preempted holder is notified',
    'a holder that is cut off is told before the next one is granted',
    'nobody is refused while the server can be reached',
    'nobody loses a lock for no reason',
    'nobody waits for a free lock'
  ].includes(claim)
}

export function check(
  events: readonly Event[],
  terms: Terms,
  engine: Engine = 'directory'
): Verdict {
  const its = engine === 'directory' ? DirectoryCheck : ServerCheck
  return new its(events, terms, engine).verdict()
}
