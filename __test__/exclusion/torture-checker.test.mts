// The checker of `npm run check -- torture` must find each violation in a history that has it, and none in one
// that only looks bad.

import test from 'ava'

import { check } from '../torture/checker.mjs'
import type { Event, Mode } from '../torture/log.mjs'
import { CLIMATES, plan, type Climate } from '../torture/plan.mjs'
import { Random } from '../torture/random.mjs'
import { timeline } from '../torture/report.mjs'

const TERMS = { heartbeatMs: 100, staleMs: 400 }

type Said = Event extends infer E ? (E extends unknown ? Omit<E, 'at'> : never) : never

/** An event at a millisecond. */
const at = (ms: number, event: Said) => ({ ...event, at: ms * 1_000 }) as Event

const ask = (ms: number, who: string, id = 1, mode: Mode = 'exclusive') =>
  at(ms, { who, what: 'ask', id, mode, wait: true })

const granted = (ms: number, who: string, token: number, id = 1) =>
  at(ms, { who, what: 'granted', id, token })

const release = (ms: number, who: string, id = 1) => at(ms, { who, what: 'release', id })

const lost = (ms: number, who: string, more: { stamped?: number; reason?: string } = {}) =>
  at(ms, {
    who,
    what: 'lost',
    id: 1,
    reason: more.reason ?? 'hijacked',
    ...(more.stamped !== undefined && { stamped: more.stamped * 1_000 })
  })

const driver = (ms: number, what: 'freeze' | 'thaw' | 'kill' | 'terminate', target: string) =>
  at(ms, { who: 'driver', what, target })

const unlink = (ms: number) => at(ms, { who: 'driver', what: 'unlink', from: ms * 1_000 - 500 })

/** A whole hold, from the ask to the release. */
const hold = (
  from: number,
  until: number,
  who: string,
  token: number,
  { id = 1, mode = 'exclusive' as Mode } = {}
) => [ask(from - 1, who, id, mode), granted(from, who, token, id), release(until, who, id)]

/** p1 is frozen from 150 to 900 ms while it holds the lock, and p2 is granted it. */
const robbery = (preemptedAt: number, ...rest: Event[]) => [
  ask(99, 'p1.1'),
  granted(100, 'p1.1', 1),
  driver(150, 'freeze', 'p1.1'),
  ...hold(preemptedAt, preemptedAt + 10, 'p2.1', 2),
  driver(900, 'thaw', 'p1.1'),
  ...rest
]

const write = (ms: number, token: number, value: number) =>
  at(ms, { who: 'store', what: 'write', by: 'p1.1', token, value })

const value = (ms: number, who: string, seen: number) =>
  at(ms, { who, what: 'value', id: 1, value: seen })

interface Case {
  events: Event[]
  /** The claims that the history violates. */
  violates?: string[]
}

const LIVING = 'a live holder is not preempted'
const TOLD = 'a preempted holder is notified'
const WAITS = 'nobody waits forever'
const DATA = 'no update is lost'
const LOSES = 'nobody loses a lock for no reason'

const cases: Record<string, Case> = {
  'one holder after the other': {
    events: [...hold(10, 20, 'p1.1', 1), ...hold(21, 30, 'p2.1', 2)]
  },
  'two writers at once': {
    events: [...hold(10, 30, 'p1.1', 1), ...hold(20, 40, 'p2.1', 2)],
    violates: [LIVING]
  },
  'a writer inside a long hold, behind a short one': {
    events: [
      ...hold(10, 300, 'p1.1', 1, { mode: 'shared' }),
      ...hold(20, 30, 'p2.1', 2, { mode: 'shared' }),
      ...hold(100, 110, 'p3.1', 3)
    ],
    violates: [LIVING]
  },
  'two threads of one process at once': {
    events: [...hold(10, 30, 'p1.1/w0.1', 1), ...hold(20, 40, 'p1.1/w1.1', 2)],
    violates: [LIVING]
  },
  'two readers at once': {
    events: [
      ...hold(10, 30, 'p1.1', 1, { mode: 'shared' }),
      ...hold(20, 40, 'p2.1', 2, { mode: 'shared' })
    ]
  },
  'a reader and a writer at once': {
    events: [...hold(10, 30, 'p1.1', 1, { mode: 'shared' }), ...hold(20, 40, 'p2.1', 2)],
    violates: [LIVING]
  },
  'a grant after a kill': {
    events: [
      ...hold(10, 99, 'p1.1', 1).slice(0, 2),
      driver(20, 'kill', 'p1.1'),
      ...hold(21, 40, 'p2.1', 2)
    ]
  },
  'a grant before a kill': {
    events: [
      ...hold(10, 99, 'p1.1', 1).slice(0, 2),
      ...hold(15, 40, 'p2.1', 2),
      driver(20, 'kill', 'p1.1')
    ],
    violates: [LIVING]
  },
  'a grant after the end of a worker': {
    events: [
      ...hold(10, 99, 'p1.1/w0.1', 1).slice(0, 2),
      driver(20, 'terminate', 'p1.1/w0.1'),
      ...hold(21, 40, 'p1.1/w1.2', 2)
    ]
  },
  'a grant after the end of another worker': {
    events: [
      ...hold(10, 30, 'p1.1/w0.1', 1),
      driver(15, 'terminate', 'p1.1/w1.1'),
      ...hold(21, 40, 'p2.1', 2)
    ],
    violates: [LIVING]
  },
  'a frozen holder, preempted when its lease was over': {
    events: robbery(520, lost(910, 'p1.1', { stamped: 110 }))
  },
  'a frozen holder, preempted inside its lease': {
    events: robbery(480, lost(910, 'p1.1', { stamped: 110 })),
    violates: ['exclusion']
  },
  'a holder that was frozen for a moment, preempted': {
    events: [
      ...hold(100, 300, 'p1.1', 1),
      driver(150, 'freeze', 'p1.1'),
      driver(200, 'thaw', 'p1.1'),
      ...hold(210, 220, 'p2.1', 2)
    ],
    violates: [LIVING]
  },
  'a holder preempted while somebody else was frozen': {
    events: [
      ...hold(100, 900, 'p1.1', 1),
      driver(150, 'freeze', 'p3.1'),
      ...hold(700, 710, 'p2.1', 2),
      driver(800, 'thaw', 'p3.1')
    ],
    violates: [LIVING]
  },
  'a frozen holder whose file looks old, preempted after 1.2 heartbeats': {
    events: [
      at(90, { who: 'driver', what: 'touch', by: -3_600 }),
      ...robbery(260, lost(910, 'p1.1', { stamped: 110 }))
    ]
  },
  'a frozen holder whose grant was heard of after the next one': {
    events: [
      ask(99, 'p1.1'),
      driver(100, 'freeze', 'p1.1'),
      ...hold(600, 950, 'p2.1', 2),
      driver(900, 'thaw', 'p1.1'),
      granted(901, 'p1.1', 1),
      lost(905, 'p1.1', { stamped: 99 })
    ]
  },
  'a preempted holder that is never told': {
    events: robbery(560, at(9_000, { who: 'p1.1', what: 'end' })),
    violates: [TOLD]
  },
  'a preempted holder that releases before it can be told': {
    events: robbery(560, release(905, 'p1.1'))
  },
  'a preempted holder that dies': {
    events: robbery(560, driver(950, 'kill', 'p1.1'), at(9_000, { who: 'p2.1', what: 'end' }))
  },
  'another grant after the file was unlinked': {
    events: [
      ask(9, 'p1.1'),
      granted(10, 'p1.1', 1),
      unlink(15),
      ...hold(20, 40, 'p2.1', 2),
      lost(60, 'p1.1')
    ]
  },
  'another grant after the file was unlinked, and nobody is told': {
    events: [...hold(10, 9_000, 'p1.1', 1), unlink(15), ...hold(20, 40, 'p2.1', 2)],
    violates: [TOLD]
  },
  'another grant before the file was unlinked': {
    events: [...hold(10, 60, 'p1.1', 1), ...hold(20, 40, 'p2.1', 2), unlink(50)],
    violates: [LIVING]
  },
  'a foreign holder beside ours': {
    events: [...hold(10, 30, 'flock', 0), ...hold(20, 40, 'p2.1', 2)],
    violates: ['exclusion']
  },
  'a foreign holder that waited for a file that was taken over': {
    events: [
      at(5, { who: 'p2.1', what: 'log', id: 1, message: 'took over a stale lock' }),
      ...hold(10, 30, 'flock', 0),
      ...hold(20, 40, 'p2.1', 2)
    ]
  },
  'foreign holders, one after the other, taken for one that is frozen': {
    events: [
      ...hold(1, 5, 'p1.1', 1),
      ask(8, 'p2.1'),
      ...hold(10, 290, 'flock', 0, { id: 1 }),
      ...hold(300, 500, 'flock', 0, { id: 2 }),
      at(410, { who: 'p2.1', what: 'log', id: 1, message: 'took over a stale lock' }),
      granted(411, 'p2.1', 2),
      release(420, 'p2.1')
    ]
  },
  'a foreign holder taken for a frozen one just after one of ours': {
    events: [
      ...hold(1, 295, 'p1.1', 1),
      ask(298, 'p2.1'),
      ...hold(300, 500, 'flock', 0, { id: 2 }),
      at(410, { who: 'p2.1', what: 'log', id: 1, message: 'took over a stale lock' }),
      granted(411, 'p2.1', 2),
      release(420, 'p2.1')
    ],
    violates: ['exclusion']
  },
  'two grants of one token': {
    events: [...hold(10, 20, 'p1.1', 7), ...hold(21, 30, 'p2.1', 7)],
    violates: ['tokens rise', 'tokens rise']
  },
  'a token that falls': {
    events: [...hold(10, 20, 'p1.1', 7), ...hold(22, 30, 'p2.1', 6)],
    violates: ['tokens rise']
  },
  'a smaller token for one who asked earlier': {
    events: [
      ask(5, 'p2.1', 1, 'shared'),
      ...hold(10, 20, 'p1.1', 7, { mode: 'shared' }),
      granted(22, 'p2.1', 6),
      release(25, 'p2.1')
    ]
  },
  'a token that falls when the clock was set and the ledger spoilt': {
    events: [
      at(1, { who: 'driver', what: 'step clock', by: -3_600 }),
      at(1, { who: 'driver', what: 'scribble' }),
      ...hold(10, 20, 'p1.1', 7),
      ...hold(22, 30, 'p2.1', 6)
    ]
  },
  'a frozen holder has the greater token when the clock was set and the ledger spoilt': {
    events: [
      at(1, { who: 'driver', what: 'step clock', by: -3_600 }),
      at(2, { who: 'driver', what: 'scribble' }),
      ask(99, 'p1.1'),
      granted(100, 'p1.1', 9),
      driver(150, 'freeze', 'p1.1'),
      ...hold(700, 710, 'p2.1', 2),
      driver(900, 'thaw', 'p1.1'),
      lost(905, 'p1.1')
    ]
  },
  'a live holder has it': {
    events: [
      at(1, { who: 'driver', what: 'step clock', by: -3_600 }),
      at(2, { who: 'driver', what: 'scribble' }),
      ...hold(10, 30, 'p1.1', 9),
      ...hold(20, 40, 'p2.1', 2)
    ],
    violates: [LIVING]
  },
  'a token that falls when only the ledger was spoilt': {
    events: [
      at(1, { who: 'driver', what: 'scribble' }),
      ...hold(10, 20, 'p1.1', 7),
      ...hold(22, 30, 'p2.1', 6)
    ],
    violates: ['tokens rise']
  },
  'writes one after the other': { events: [write(1, 1, 1), write(2, 1, 2), write(3, 4, 3)] },
  'a write under an older token': {
    events: [write(1, 5, 1), write(2, 4, 2)],
    violates: [DATA]
  },
  'a write that skips one': { events: [write(1, 5, 1), write(2, 6, 3)], violates: [DATA] },
  'a write over what the writer had not read': {
    events: [at(3, { who: 'store', what: 'lost update', by: 'p1.1', token: 5, base: 1, value: 2 })],
    violates: [DATA]
  },
  'data that changes under a reader': {
    events: [
      ...hold(10, 30, 'p1.1', 1, { mode: 'shared' }).slice(0, 2),
      value(11, 'p1.1', 4),
      value(29, 'p1.1', 5),
      release(30, 'p1.1')
    ],
    violates: [DATA]
  },
  'data that stays under a reader': {
    events: [
      ...hold(10, 30, 'p1.1', 1, { mode: 'shared' }).slice(0, 2),
      value(11, 'p1.1', 4),
      value(29, 'p1.1', 4),
      release(30, 'p1.1')
    ]
  },
  'a lock that is lost for no reason': {
    events: [ask(9, 'p1.1'), granted(10, 'p1.1', 1), lost(50, 'p1.1')],
    violates: [LOSES]
  },
  'a lock that is lost after a freeze': {
    events: [
      ask(9, 'p1.1'),
      granted(10, 'p1.1', 1),
      driver(20, 'freeze', 'p1.1'),
      driver(500, 'thaw', 'p1.1'),
      lost(510, 'p1.1', { reason: 'heartbeat-failed' })
    ]
  },
  'a lock that is lost because the machine was busy': {
    events: [
      ask(9, 'p1.1/w0.1'),
      granted(10, 'p1.1/w0.1', 1),
      at(500, { who: 'p1.1', what: 'gap', from: 20_000 }),
      lost(510, 'p1.1/w0.1', { reason: 'heartbeat-failed' })
    ]
  },
  'a heartbeat that fails while somebody else stands still, maybe inside the guard': {
    events: [
      ask(9, 'p1.1'),
      granted(10, 'p1.1', 1),
      driver(20, 'freeze', 'p2.1'),
      lost(510, 'p1.1', { reason: 'heartbeat-failed' }),
      driver(520, 'thaw', 'p2.1')
    ]
  },
  'a lock that is hijacked while somebody else stands still': {
    events: [
      ask(9, 'p1.1'),
      granted(10, 'p1.1', 1),
      driver(20, 'freeze', 'p2.1'),
      lost(510, 'p1.1'),
      driver(520, 'thaw', 'p2.1')
    ],
    violates: [LOSES]
  },
  'one who asks and is not answered': {
    events: [ask(9, 'p1.1'), at(99, { who: 'p2.1', what: 'end' })],
    violates: [WAITS]
  },
  'one who waits for a lock that nobody has': {
    events: [...hold(10, 20, 'p1.1', 1), ask(15, 'p2.1'), granted(6_000, 'p2.1', 2)],
    violates: ['nobody waits for a free lock']
  },
  'one who waits for a lock that somebody has for long': {
    events: [
      ask(15, 'p2.1'),
      ...[0, 1, 2].flatMap((turn) =>
        hold(2_000 * turn + 10, 2_000 * turn + 1_500, 'p1.1', turn + 1, { id: turn + 1 })
      ),
      granted(6_000, 'p2.1', 9)
    ]
  },
  'one who waits while somebody stands still, maybe inside the guard': {
    events: [
      ask(15, 'p2.1'),
      driver(20, 'freeze', 'p1.1'),
      driver(5_000, 'thaw', 'p1.1'),
      granted(6_000, 'p2.1', 2)
    ]
  },
  'one who asks and is killed': {
    events: [ask(9, 'p1.1'), driver(20, 'kill', 'p1.1')]
  },
  'a process that does not end': {
    events: [at(60_000, { who: 'driver', what: 'stuck', target: 'p1.1', after: 60_000_000 })],
    violates: [WAITS]
  },
  'an error that nobody promised': {
    events: [ask(9, 'p1.1'), at(10, { who: 'p1.1', what: 'failed', id: 1, message: 'EIO' })],
    violates: ['no error but the documented ones']
  }
}

for (const [what, { events, violates = [] }] of Object.entries(cases)) {
  test(`the checker ${violates.length > 0 ? 'objects' : 'does not object'} to ${what}`, (t) => {
    const inOrder = events.toSorted((one, other) => one.at - other.at)
    const claims = check(inOrder, TERMS).violations.map(({ claim }) => claim)
    t.deepEqual(claims, violates)
  })
}

test('a timeline has the events of the processes involved, in order, and no others', (t) => {
  const events = [
    ...hold(10, 30, 'p1.1', 1),
    ...hold(11, 12, 'p7.1', 9, { mode: 'shared' }),
    ...hold(20, 40, 'p2.1', 2)
  ].toSorted((one, other) => one.at - other.at)
  const violation = check(events, TERMS).violations.find(({ parties }) => parties.includes('p2.1'))!
  const lines = timeline({ ...violation, parties: ['p1.1', 'p2.1'] }, events)
  t.true(lines.length >= 4)
  t.false(lines.some((line) => line.includes('p7.1')))
  const times = lines.map((line) => Number.parseFloat(line))
  t.deepEqual(
    times,
    times.toSorted((one, other) => one - other)
  )
})

test('a seed determines one plan, and another seed another', (t) => {
  const climates = Object.keys(CLIMATES) as Climate[]
  for (let number = 0; number < climates.length; number++) {
    t.deepEqual(plan(1, number, climates), plan(1, number, climates))
    t.notDeepEqual(plan(1, number, climates), plan(2, number, climates))
  }
  t.deepEqual(
    Array.from({ length: 5 }, () => Random.of(3, 'p1.1').next()),
    Array.from({ length: 5 }, () => Random.of(3, 'p1.1').next())
  )
})
