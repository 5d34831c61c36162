import { Random } from './random.mjs'

/** The target: the process in that place, or the next one that begins to work with the store while it holds the lock. */
export type Place = number | 'holder'

/** What keeps the lock. */
export const ENGINES = ['directory', 'postgres', 'etcd'] as const

export type Engine = (typeof ENGINES)[number]

/** What a round does to the actors. */
export type OfActors =
  | { kind: 'kill'; place: Place; restart: number }
  | { kind: 'freeze'; place: Place; for: number }
  | { kind: 'terminate'; place: number; thread: number }

/** What it does to what they lock. */
export type OfStage =
  | { kind: 'unlink' | 'replace' | 'truncate' | 'rename' }
  | { kind: 'scribble'; how: number }
  | { kind: 'touch' | 'step clock'; by: number }
  | { kind: 'flock'; for: number; shared: boolean }
  | { kind: 'end sessions' | 'disturb server' }
  | { kind: 'restart'; how: 'fast' | 'immediate' }

/** What it does between the two. */
export type OfLink<At = Place> =
  | { kind: 'link stop' | 'link cut'; place: At; for: number }
  | { kind: 'link slow'; place: At; for: number; by: number }

export type Disturbance = OfActors | OfStage | OfLink

export interface Terms {
  heartbeatMs: number
  staleMs: number
}

export interface Round {
  seed: number
  number: number
  engine: Engine
  climate: Climate
  terms: Terms
  ms: number
  /** One process each, with this many worker threads; with none, the main thread is the actor. */
  places: { threads: number; handle: boolean; quick: boolean }[]
  disturbances: { at: number; what: Disturbance }[]
}

type Kinds = readonly Disturbance['kind'][]

/**
 * The disturbances of a round. Some void promises (docs/reliability.md has the table), so a round
 * has few kinds, and all remaining promises are checked.
 */
const DIRECTORY = {
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
} as const satisfies Record<string, Kinds>

const SERVER = {
  calm: ['kill', 'kill', 'terminate'],
  frozen: ['freeze', 'freeze', 'kill', 'terminate'],
  links: ['link stop', 'link stop', 'link cut', 'link slow', 'kill'],
  server: ['restart', 'end sessions', 'disturb server', 'disturb server', 'kill'],
  everything: [
    'kill',
    'freeze',
    'terminate',
    'link stop',
    'link cut',
    'link slow',
    'restart',
    'end sessions',
    'disturb server'
  ]
} as const satisfies Record<string, Kinds>

export type Climate = keyof typeof DIRECTORY | keyof typeof SERVER

/** How rounds differ by what keeps the lock. */
interface Manner {
  climates: Partial<Record<Climate, Kinds>>
  ms: number
  /** From one disturbance to the next, at least and at most. */
  apart: readonly [number, number]
  terms(random: Random, climate: Climate): Terms
  /** Whether all must open the root, instead of some. */
  opens(climate: Climate): boolean
}

const onDirectory: Manner = {
  climates: DIRECTORY,
  ms: 8_000,
  apart: [40, 500],
  terms(random, climate) {
    const heartbeatMs = random.of([50, 100])
    // A foreign holder does not refresh the lock: it must be done long before it looks frozen.
    const staleMs = heartbeatMs * (climate === 'foreign' ? 6 : random.of([3, 4, 5]))
    return { heartbeatMs, staleMs }
  },
  opens: (climate) => climate === 'moved' || climate === 'everything'
}

const onServer: Manner = {
  climates: SERVER,
  ms: 15_000,
  // Leases are longer, too: else something would always excuse everything.
  apart: [100, 1_800],
  // The least that etcd has: leases of whole seconds, and of two.
  terms: () => ({ heartbeatMs: 400, staleMs: 2_000 }),
  opens: () => true
}

const manner = (engine: Engine) => (engine === 'directory' ? onDirectory : onServer)

/** The climates that there are where the lock is kept by an engine. */
export function climatesOf(engine: Engine): Climate[] {
  return Object.keys(manner(engine).climates) as Climate[]
}

/** What may happen in the climate of a round. */
export function kindsOf({ engine, climate }: Pick<Round, 'engine' | 'climate'>): Kinds {
  return manner(engine).climates[climate]!
}

/** The round of a seed; the same every time. */
export function plan(
  seed: number,
  number: number,
  climates: readonly Climate[],
  { ms, engine = 'directory' }: { ms?: number | undefined; engine?: Engine } = {}
): Round {
  const { terms, opens, apart, ms: usual } = manner(engine)
  const random = Random.of(seed, 'round', number)
  const climate = climates[number % climates.length]!
  const { heartbeatMs, staleMs } = terms(random, climate)
  const handles = opens(climate)
  const places = Array.from({ length: random.between(3, 5) }, () => ({
    threads: random.chance(0.4) ? random.between(1, 3) : 0,
    handle: handles || random.chance(0.5),
    quick: random.chance(0.4)
  }))
  const disturbances: Round['disturbances'] = []
  const length = ms ?? usual
  for (let at = random.between(100, 600); at < length; at += random.between(...apart)) {
    const kind = random.of(kindsOf({ engine, climate }))
    disturbances.push({ at, what: disturbance(random, kind, places, heartbeatMs, staleMs) })
  }
  return {
    seed,
    number,
    engine,
    climate,
    terms: { heartbeatMs, staleMs },
    ms: length,
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
    case 'freeze':
    case 'link stop':
    case 'link cut': {
      // Too short to lose anything, about as long as the lease, and certainly longer.
      const [least, most] = random.of([
        [1, heartbeatMs],
        [staleMs - heartbeatMs, staleMs + heartbeatMs],
        [staleMs * 1.5, staleMs * 3],
        [staleMs * 1.5, staleMs * 3]
      ] as const)
      return { kind, place, for: random.between(least, most) }
    }
    case 'link slow':
      return { kind, place, for: random.between(500, 2_000), by: random.of([3, 150]) }
    case 'restart':
      return { kind, how: random.of(['fast', 'immediate'] as const) }
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
