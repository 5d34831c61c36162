import test from 'ava'

import { PHASES } from '../faults/phases.mjs'
import { crash, discover, fault } from '../faults/run.mjs'
import { linux, needing, superuser, tool } from '../helpers/needing.mjs'

// A sample: `npm run check -- faults` makes every call fail in every way.
const traced = needing(test, linux, superuser, tool('strace', '--version'))

/** This many at once: each spends most of its time waiting for idle threads to end. */
const AT_ONCE = 4

async function each<T>(items: T[], work: (item: T) => Promise<void>): Promise<void> {
  const left = [...items]
  const next = async () => {
    for (let item = left.shift(); item !== undefined; item = left.shift()) await work(item)
  }
  await Promise.all(Array.from({ length: AT_ONCE }, next))
}

for (const phase of PHASES.filter(({ name }) =>
  ['first acquire', 'takeover', 'beat', 'release'].includes(name)
)) {
  traced(
    `whatever system call fails in this, it is told and leaves nothing: ${phase.name}`,
    async (t) => {
      const places = await discover(phase)
      t.true(places.length > 3, 'the calls are traced')
      let met = 0
      await each(places, async ({ name, when }) => {
        const outcome = await fault(phase, { name, when: String(when), what: 'error=EIO' })
        met += outcome.met.length
        t.deepEqual(outcome.wrong, [], `${name} ${when}: ${outcome.met.join()}`)
      })
      t.true(met > places.length / 2, 'most of them were made to fail')
    }
  )
}

for (const phase of PHASES.filter(({ name }) => ['first acquire', 'takeover'].includes(name))) {
  traced(
    `killed at any system call of this, it leaves a lock to the next: ${phase.name}`,
    async (t) => {
      await each(await discover(phase), async (place) => {
        const { wrong, met } = await crash(phase, place)
        t.deepEqual(wrong, [], `${place.name} ${place.when}: ${met.join()}`)
      })
    }
  )
}

const [first] = PHASES
traced('a failure to start a thread is an error, and the process goes on', async (t) => {
  const outcome = await fault(first!, { name: 'clone3', when: '1+', what: 'error=EAGAIN' })
  t.deepEqual(outcome.met, ['clone3'])
  t.is(outcome.said, 'EAGAIN pthread_create')
  t.deepEqual(outcome.wrong, [])
})
