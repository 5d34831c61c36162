import { Random } from './random.mjs'

/** The target: the process in that place, or the next one that begins to work with the store while it holds the lock. */
export type Place = number | 'holder'

/** What a round does to the actors and their files. */
export type Disturbance =
  | { kind: 'kill'; place: Place; restart: number }
  | { kind: 'freeze'; place: Place; for: number }
  | { kind: 'terminate'; place: number; thread: number }
  | { kind: 'unlink' | 'replace' | 'truncate' | 'rename' }
  | { kind: 'scribble'; how: number }
  | { kind: 'touch' | 'step clock'; by: number }
  | { kind: 'flock'; for: number; shared: boolean }

export interface Terms {
  heartbeatMs: number
  staleMs: number
}

export interface Round {
  seed: number
  number: number
  climate: Climate
  terms: Terms
  ms: number
  /** One process each, with this many worker threads; with none, the main thread is the actor. */
  places: { threads: number; handle: boolean; quick: boolean }[]
  disturbances: { at: number; what: Disturbance }[]
}

/**
 * The disturbances of a round. Some void promises (docs/reliability.md has the table), so a round
 * has few kinds, and all remaining promises are checked.
 */
export const CLIMATES = {
  calm: ['kill', 'terminate'],
  frozen: ['freeze', 'freeze', 'kill', 'terminate'],
  vandals: ['unlink', 'replace', 'truncate', 'kill', 'freeze'],
  times: ['touch', 'touch', 'truncate', 'freeze', 'kill'],
  ledger: ['scribble', 'scribble', 'freeze', 'kill'],
  moved: ['rename', 'freeze', 'kill', 'terminate'],
  foreign: ['flock', 'flock', 'kill', 'terminate'],
  clocks: ['step clock', 'step clock', 'freeze', 'kill'],
  everything: [
    'kill',
    'freeze',
    'freeze',
    'terminate',
    'unlink',
    'replace',
    'truncate',
    'rename',
    'scribble',
    'touch',
    'step clock',
    'flock'
  ]
} as const satisfies Record<string, readonly Disturbance['kind'][]>

export type Climate = keyof typeof CLIMATES

const MS = 8_000

/** The round of a seed; the same every time. */
export function plan(seed: number, number: number, climates: readonly Climate[], ms = MS): Round {
  const random = Random.of(seed, 'round', number)
  const climate = climates[number % climates.length]!
  const heartbeatMs = random.of([50, 100])
  // A foreign holder does not refresh the lock: it must be done long before it looks frozen.
  const staleMs = heartbeatMs * (climate === 'foreign' ? 6 : random.of([3, 4, 5]))
  const handles = climate === 'moved' || climate === 'everything'
  const places = Array.from({ length: random.between(3, 5) }, () => ({
    threads: random.chance(0.4) ? random.between(1, 3) : 0,
    handle: handles || random.chance(0.5),
    quick: random.chance(0.4)
  }))
  const disturbances: Round['disturbances'] = []
  for (let at = random.between(100, 600); at < ms; at += random.between(40, 500)) {
    const kind = random.of(CLIMATES[climate])
    disturbances.push({ at, what: disturbance(random, kind, places, heartbeatMs, staleMs) })
  }
  return {
    seed,
    number,
    climate,
    terms: { heartbeatMs, staleMs },
    ms,
    places,
    disturbances
  }
}

function disturbance(
  random: Random,
  kind: Disturbance['kind'],
  places: Round['places'],
  heartbeatMs: number,
  staleMs: number
): Disturbance {
  const place = random.chance(0.5) ? 'holder' : random.between(0, places.length - 1)
  const hours = random.of([-24 * 365, -1, 1, 24 * 365])
  switch (kind) {
    case 'kill':
      return { kind, place, restart: random.between(0, 300) }
    case 'freeze': {
      // Too short to lose anything, about as long as the lease, and certainly longer.
      const [least, most] = random.of([
        [1, heartbeatMs],
        [staleMs - heartbeatMs, staleMs + heartbeatMs],
        [staleMs * 1.5, staleMs * 3],
        [staleMs * 1.5, staleMs * 3]
      ] as const)
      return { kind, place, for: random.between(least, most) }
    }
    case 'terminate': {
      const hosts = places.flatMap(({ threads }, index) => (threads > 0 ? [index] : []))
      if (hosts.length === 0) return { kind: 'kill', place, restart: 0 }
      const host = random.of(hosts)
      return { kind, place: host, thread: random.between(0, places[host]!.threads - 1) }
    }
    case 'scribble':
      return { kind, how: random.between(0, 2 ** 31) }
    case 'touch':
    case 'step clock':
      return { kind, by: hours * 3_600 }
    case 'flock':
      return { kind, for: random.between(0, heartbeatMs), shared: random.chance(0.3) }
    default:
      return { kind }
  }
}
