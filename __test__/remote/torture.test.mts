// A short round of `npm run check -- torture` on each engine, and proof that it can fail. Longer ones: docs/reliability.md.

import { rm } from 'node:fs/promises'
import { dirname } from 'node:path'

import { servers } from '../helpers/server-root.mjs'
import { mayBeTheMachines } from '../torture/checker.mjs'
import { plan } from '../torture/plan.mjs'
import { story } from '../torture/report.mjs'
import { play } from '../torture/round.mjs'
import { engineOf, onServer } from '../torture/server.mjs'

const { onServers } = servers()

/** More than enough, also where a round is over before its processes have started. */
const ROUNDS = 10

onServers('a round of everything violates nothing', async (t, server) => {
  let grants = 0
  for (let number = 0; grants === 0 && number < ROUNDS; number++) {
    const round = plan(3, number, ['everything'], { engine: engineOf(server), ms: 5_000 })
    const outcome = await play(round, 'rootlock', onServer(server))
    const { tally, violations } = outcome
    t.log(tally)
    grants += tally.grants
    // That something came too late is for longer runs: this machine may have stood still.
    const certain = violations.filter((violation) => !mayBeTheMachines(violation))
    t.deepEqual(certain, [], violations.length > 0 ? story(outcome, 'see above') : '')
  }
  t.true(grants > 0)
})

onServers('a lock that everybody has at once is caught', async (t, server) => {
  let caught = false
  for (let number = 0; !caught && number < ROUNDS; number++) {
    const round = plan(1, number, ['calm'], { engine: engineOf(server), ms: 1_500 })
    const { violations, logs } = await play(round, 'careless', onServer(server))
    // They are kept with a violation, which is no news here.
    if (logs !== undefined) await rm(dirname(logs), { recursive: true })
    const certain = violations.filter((violation) => !mayBeTheMachines(violation))
    caught = certain.some(({ claim }) => claim === 'a live holder is not preempted')
  }
  t.true(caught)
})
