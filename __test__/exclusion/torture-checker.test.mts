// The checker of `npm run check -- torture` must find each violation in a history that has it, and none in one
// that only looks bad.

import test from 'ava'

import { check, mayBeTheMachines } from '../torture/checker.mjs'
import type { Event, Mode } from '../torture/log.mjs'
import { climatesOf, ENGINES, plan, type Engine, type Terms } from '../torture/plan.mjs'
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

const CUT_OFF = 'a holder that is cut off is told before the next one is granted'
const FREE = 'nobody waits for a free lock'
const REFUSED = 'nobody is refused while the server can be reached'

const SERVER_TERMS = { heartbeatMs: 400, staleMs: 2_000 }

const link = (ms: number, what: 'stop' | 'cut' | 'restore', place = 1) =>
  at(ms, { who: 'driver', what: `link ${what}`, place })

const slow = (ms: number, place = 1) => at(ms, { who: 'driver', what: 'link slow', place, by: 150 })

const restart = (from: number, until: number) =>
  at(until, { who: 'driver', what: 'restart', how: 'immediate', from: from * 1_000 })

const ended = (ms: number, what: 'end session' | 'stop member' = 'end session') =>
  at(ms, { who: 'driver', what, from: ms * 1_000 - 500 })

const refused = (ms: number, who: string) =>
  at(ms, {
    who,
    what: 'refused',
    id: 1,
    code: 'ERR_LOCK_UNSUCCESSFUL',
    because: 'away',
    message: 'ECONNREFUSED'
  })

const impatient = (ms: number, who: string) =>
  at(ms, { who, what: 'ask', id: 1, mode: 'exclusive', wait: false })

/** p1 has the lock from 100 ms on, and may be told that it was lost; p2 is granted it. */
const handover = (told: number | undefined, preemptedAt: number, ...between: Event[]) => [
  ask(99, 'p1.1'),
  granted(100, 'p1.1', 1),
  ...between,
  ...(told === undefined ? [] : [lost(told, 'p1.1')]),
  ...hold(preemptedAt, preemptedAt + 10, 'p2.1', 2),
  at(9_000, { who: 'p2.1', what: 'end' })
]

/** It waits although the lock is free, from 20 ms on. */
const neglected = (answered: number, ...disturbances: Event[]) => [
  ...hold(10, 20, 'p1.1', 1),
  ask(15, 'p2.1'),
  ...disturbances,
  granted(answered, 'p2.1', 2)
]

/** On both engines, unless one is named. */
const serverCases: Record<string, Case & { engine?: 'postgres' | 'etcd' }> = {
  'one holder after the other': {
    events: [...hold(10, 20, 'p1.1', 1), ...hold(21, 30, 'p2.1', 2)]
  },
  'two writers at once': {
    events: [...hold(10, 30, 'p1.1', 1), ...hold(20, 40, 'p2.1', 2)],
    violates: [LIVING]
  },
  'a reader and a writer at once': {
    events: [...hold(10, 30, 'p1.1', 1, { mode: 'shared' }), ...hold(20, 40, 'p2.1', 2)],
    violates: [LIVING]
  },
  'two readers at once': {
    events: [
      ...hold(10, 30, 'p1.1', 1, { mode: 'shared' }),
      ...hold(20, 40, 'p2.1', 2, { mode: 'shared' })
    ]
  },
  'a grant after a kill': {
    events: [
      ...hold(10, 99, 'p1.1', 1).slice(0, 2),
      driver(20, 'kill', 'p1.1'),
      ...hold(25, 40, 'p2.1', 2)
    ]
  },
  'a frozen holder, preempted when its lease was over, and told when it runs': {
    events: handover(3_100, 2_200, driver(150, 'freeze', 'p1.1'), driver(3_000, 'thaw', 'p1.1'))
  },
  'a frozen holder, preempted inside its lease': {
    events: handover(3_100, 1_000, driver(150, 'freeze', 'p1.1'), driver(3_000, 'thaw', 'p1.1')),
    violates: [LIVING]
  },
  'a frozen holder that runs again and is not told': {
    events: handover(
      undefined,
      2_200,
      driver(150, 'freeze', 'p1.1'),
      driver(3_000, 'thaw', 'p1.1')
    ),
    violates: [TOLD]
  },
  'a frozen holder that dies': {
    events: handover(undefined, 2_200, driver(150, 'freeze', 'p1.1'), driver(3_000, 'kill', 'p1.1'))
  },
  'a holder preempted while somebody else was frozen': {
    events: handover(3_100, 2_200, driver(150, 'freeze', 'p3.1'), driver(3_000, 'thaw', 'p3.1')),
    violates: [LIVING, LOSES]
  },
  'a holder that is cut off, and told by its own clock': {
    events: handover(1_800, 2_200, link(150, 'stop'), link(4_000, 'restore'))
  },
  'a holder that is cut off, and told a moment after the next one': {
    events: handover(2_250, 2_200, link(150, 'stop'), link(4_000, 'restore'))
  },
  'a holder that is cut off, and told after the next one': {
    events: handover(2_400, 2_200, link(150, 'stop'), link(4_000, 'restore')),
    violates: [CUT_OFF]
  },
  'a holder that is cut off, and told when the machine has run it': {
    events: handover(
      2_400,
      2_200,
      link(150, 'stop'),
      at(2_350, { who: 'p1.1', what: 'gap', from: 2_000_000 }),
      link(4_000, 'restore')
    )
  },
  'a holder that is cut off, preempted inside its lease': {
    events: handover(1_100, 1_000, link(150, 'stop'), link(4_000, 'restore')),
    violates: [LIVING]
  },
  'a holder preempted while another place was cut off': {
    events: handover(2_300, 2_200, link(150, 'stop', 3), link(4_000, 'restore', 3)),
    violates: [LIVING, LOSES]
  },
  'two short silences, and a beat between them': {
    events: handover(
      2_300,
      2_200,
      link(150, 'stop'),
      link(900, 'restore'),
      link(1_500, 'stop'),
      link(2_250, 'restore')
    ),
    violates: [LIVING]
  },
  'two silences without the time for a beat between them': {
    events: handover(
      1_800,
      2_200,
      link(150, 'stop'),
      link(900, 'restore'),
      driver(1_000, 'freeze', 'p1.1'),
      driver(1_700, 'thaw', 'p1.1'),
      link(1_750, 'stop'),
      link(4_000, 'restore')
    )
  },
  'a slow way to the server that costs a holder its lock': {
    events: handover(2_250, 2_200, slow(150), link(4_000, 'restore')),
    violates: [LIVING, LOSES]
  },
  'a connection that is cut: its session has ended': {
    engine: 'postgres',
    events: handover(155, 152, link(150, 'cut'), link(400, 'restore'))
  },
  'a connection that is cut: its lease goes on': {
    engine: 'etcd',
    events: handover(155, 152, link(150, 'cut'), link(400, 'restore')),
    violates: [LIVING]
  },
  'a connection that was cut before it asked': {
    events: handover(155, 152, link(50, 'cut'), link(90, 'restore')),
    violates: [LIVING]
  },
  'a session that was ended': { events: handover(160, 152, ended(150)) },
  'a session that was ended, whose holder is never told': {
    events: handover(undefined, 152, ended(150)),
    violates: [TOLD]
  },
  'a session that was ended, whose holder is cut off and told by its own clock': {
    events: handover(1_700, 152, link(140, 'stop'), ended(150), link(4_000, 'restore'))
  },
  'a session that was ended, whose holder is cut off and told too late': {
    events: handover(3_500, 152, link(140, 'stop'), ended(150), link(4_000, 'restore')),
    violates: [TOLD]
  },
  'a session that was ended before it asked': {
    events: handover(undefined, 152, ended(50)),
    violates: [LIVING]
  },
  'leases of before a restart that are sat out': {
    engine: 'postgres',
    events: handover(undefined, 2_700, restart(150, 600), release(2_690, 'p1.1'))
  },
  'a lease of before a restart that is not sat out': {
    events: handover(undefined, 1_000, restart(150, 600), release(1_050, 'p1.1')),
    violates: [LIVING]
  },
  'a holder that a restart did not end, preempted long after it': {
    engine: 'etcd',
    events: handover(undefined, 2_700, restart(150, 600), release(2_800, 'p1.1')),
    violates: [LIVING]
  },
  'a lock that is lost by a restart': { events: handover(700, 2_700, restart(150, 600)) },
  'a lock that is lost by a cut connection': {
    events: handover(170, 2_700, link(150, 'cut'), link(400, 'restore'))
  },
  'a lock that is lost because another place was cut off': {
    events: handover(170, 2_700, link(150, 'cut', 3), link(400, 'restore', 3)),
    violates: [LOSES]
  },
  'a lock that is lost for no reason': { events: handover(170, 2_700), violates: [LOSES] },
  'a lock that is lost because a member stood still for a moment': {
    events: handover(170, 2_700, ended(150, 'stop member')),
    violates: [LOSES]
  },
  'two grants of one token': {
    events: [...hold(10, 20, 'p1.1', 7), ...hold(21, 30, 'p2.1', 7)],
    violates: ['tokens rise', 'tokens rise']
  },
  'a token that falls over a restart': {
    events: [...hold(10, 20, 'p1.1', 7), restart(21, 500), ...hold(600, 700, 'p2.1', 6)],
    violates: ['tokens rise']
  },
  'a write under an older token': { events: [write(1, 5, 1), write(2, 4, 2)], violates: [DATA] },
  'data that changes under a reader that was cut off for a lease': {
    events: [
      ...hold(100, 3_000, 'p1.1', 1, { mode: 'shared' }),
      value(110, 'p1.1', 4),
      link(150, 'stop'),
      value(2_900, 'p1.1', 5)
    ]
  },
  'data that changes under a reader': {
    events: [
      ...hold(100, 3_000, 'p1.1', 1, { mode: 'shared' }),
      value(110, 'p1.1', 4),
      value(2_900, 'p1.1', 5)
    ],
    violates: [DATA]
  },
  'one who waits for less than a lease': { events: neglected(1_100) },
  'one who waits for a free lock until a lease would be over': {
    events: neglected(1_900),
    violates: [FREE]
  },
  'one who waits for the lock of a dead holder until its lease is over': {
    events: [
      ...hold(10, 9_000, 'p1.1', 1).slice(0, 2),
      ask(15, 'p2.1'),
      driver(100, 'kill', 'p1.1'),
      granted(1_900, 'p2.1', 2)
    ],
    violates: [FREE]
  },
  'one who waits for the lock of a holder that died while it was cut off': {
    events: [
      ...hold(10, 9_000, 'p1.1', 1).slice(0, 2),
      ask(15, 'p2.1'),
      link(90, 'stop'),
      driver(100, 'kill', 'p1.1'),
      granted(1_900, 'p2.1', 2),
      link(1_950, 'restore')
    ]
  },
  'one who waits for the lock of a holder that died while it was frozen': {
    events: [
      ...hold(10, 9_000, 'p1.1', 1).slice(0, 2),
      ask(15, 'p2.1'),
      driver(90, 'freeze', 'p1.1'),
      driver(100, 'kill', 'p1.1'),
      granted(5_000, 'p2.1', 2)
    ],
    violates: [FREE]
  },
  'one who waits while leases of before a restart are sat out': {
    events: neglected(3_000, restart(100, 600))
  },
  'one who waits long after a restart': {
    events: neglected(9_000, restart(100, 600)),
    violates: [FREE]
  },
  'one who is not answered': {
    events: [ask(9, 'p1.1'), at(99, { who: 'p2.1', what: 'end' })],
    violates: [WAITS]
  },
  'locks that are left when all have ended': {
    events: [at(99, { who: 'driver', what: 'left', held: 1, waiting: 0 })],
    violates: [WAITS]
  },
  'one who does not wait, refused while it is cut off': {
    events: [link(5, 'cut'), impatient(9, 'p1.1'), refused(10, 'p1.1'), link(50, 'restore')]
  },
  'one who does not wait, refused while another place is cut off': {
    events: [link(5, 'cut', 2), impatient(9, 'p1.1'), refused(10, 'p1.1'), link(50, 'restore', 2)],
    violates: [REFUSED]
  },
  'one who does not wait, refused while the server restarts': {
    events: [impatient(9, 'p1.1'), refused(10, 'p1.1'), restart(5, 500)]
  },
  'one who does not wait, refused for no reason': {
    events: [impatient(9, 'p1.1'), refused(10, 'p1.1')],
    violates: [REFUSED]
  },
  'one who waits, refused before the server was reached': {
    events: [link(5, 'cut'), ask(9, 'p1.1'), refused(10, 'p1.1'), link(50, 'restore')]
  },
  'one who has waited, refused when the server goes away': {
    events: [
      ...hold(10, 3_100, 'p2.1', 1),
      ask(15, 'p1.1'),
      link(3_000, 'cut'),
      refused(3_001, 'p1.1'),
      link(3_050, 'restore')
    ],
    violates: [REFUSED]
  },
  'a root that can not be opened while the server restarts': {
    events: [at(60, { who: 'p1.1', what: 'away', since: 50_000, message: '' }), restart(5, 500)]
  },
  'a root that can not be opened for no reason': {
    events: [at(60, { who: 'p1.1', what: 'away', since: 50_000, message: '' })],
    violates: [REFUSED]
  },
  'an error that nobody promised': {
    events: [ask(9, 'p1.1'), at(10, { who: 'p1.1', what: 'failed', id: 1, message: 'EIO' })],
    violates: ['no error but the documented ones']
  },
  'a process that does not end': {
    events: [at(60_000, { who: 'driver', what: 'stuck', target: 'p1.1', after: 60_000_000 })],
    violates: [WAITS]
  }
}

/** The claims that a history violates, in the order of the checker. */
function claims(events: Event[], ...more: [Terms, Engine?]): string[] {
  const inOrder = events.toSorted((one, other) => one.at - other.at)
  return check(inOrder, ...more).violations.map(({ claim }) => claim)
}

const verb = (violates: string[]) => (violates.length > 0 ? 'objects' : 'does not object')

for (const [what, { events, violates = [] }] of Object.entries(cases)) {
  test(`the checker ${verb(violates)} to ${what}`, (t) => {
    t.deepEqual(claims(events, TERMS), violates)
  })
}

for (const [what, { events, violates = [], engine }] of Object.entries(serverCases)) {
  for (const on of engine === undefined ? (['postgres', 'etcd'] as const) : [engine]) {
    test(`the checker ${verb(violates)} on ${on} to ${what}`, (t) => {
      t.deepEqual(claims(events, SERVER_TERMS, on), violates)
    })
  }
}

/** Of each violation, whether the machine may have stood still instead. */
const machines = (...events: Event[]) =>
  check(
    events.toSorted((one, other) => one.at - other.at),
    SERVER_TERMS,
    'postgres'
  ).violations.map(mayBeTheMachines)

test('two holders of a server at once are our fault, unless the lease of the first may be over', (t) => {
  t.deepEqual(machines(...hold(10, 30, 'p1.1', 1), ...hold(20, 40, 'p2.1', 2)), [false])
  t.deepEqual(machines(...hold(10, 3_000, 'p1.1', 1), ...hold(2_500, 2_600, 'p2.1', 2)), [true])
})

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
  for (const engine of ENGINES) {
    const climates = climatesOf(engine)
    for (let number = 0; number < climates.length; number++) {
      const of = (seed: number) => plan(seed, number, climates, { engine })
      t.deepEqual(of(1), of(1))
      t.notDeepEqual(of(1), of(2))
    }
  }
  t.deepEqual(
    Array.from({ length: 5 }, () => Random.of(3, 'p1.1').next()),
    Array.from({ length: 5 }, () => Random.of(3, 'p1.1').next())
  )
})
