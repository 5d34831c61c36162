// Crowds on servers, while everything around them fails.

import test from 'ava'

import { crowd, hold, violations } from '../helpers/crowd.mjs'
import { eventually } from '../helpers/eventually.mjs'
import { freshUrl, servers } from '../helpers/server-root.mjs'

const { onServers } = servers()

onServers(
  'never two together, whatever happens to processes, links and servers',
  async (t, server) => {
    t.timeout(300_000)
    const seconds = Number(process.env['ROOTLOCK_CROWD_SECONDS'] ?? 0)
    const until = performance.now() + seconds * 1_000
    let seed = Number(process.env['ROOTLOCK_CROWD_SEED'] ?? 1)
    do {
      if (seconds > 0) t.timeout(2 * seconds * 1_000)
      const holds = await crowd(t, server, freshUrl(server), { rounds: 12, seed })
      t.log(`seed ${seed}: ${holds.length} holds`)
      t.true(holds.length > 100)
      t.deepEqual(violations(holds), [])
      await eventually('nothing is locked', async () => {
        const { held, waiting } = await server.locks()
        return held + waiting === 0
      })
      seed += 1
    } while (performance.now() < until)
  }
)

test('the check finds two together, and a token that falls', (t) => {
  t.is(violations([hold(false, 0, 2, 1), hold(false, 1, 3, 2)]).length, 1)
  t.is(violations([hold(true, 0, 5, 1), hold(true, 1, 2, 1), hold(false, 3, 6, 2)]).length, 1)
  t.is(violations([hold(false, 0, 1, 5), hold(false, 2, 3, 5)]).length, 1)
  t.is(violations([hold(true, 0, 5, 1), hold(true, 1, 6, 1), hold(false, 6, 7, 2)]).length, 0)
})
