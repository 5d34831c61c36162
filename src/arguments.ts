// Wrong types and ranges, in Node's own words: the option's name, what was expected, what was passed.

import { fileURLToPath } from 'node:url'
import { inspect } from 'node:util'

import {
  DEFAULT_FILE_NAME,
  DEFAULT_HEARTBEAT_MS,
  DEFAULT_STALE_MS,
  MAX_FILE_NAME_BYTES,
  MIN_HEARTBEAT_MS,
  MIN_STALE_IN_HEARTBEATS
} from './binding'
import { given } from './paths'

export const defaults = {
  fileName: DEFAULT_FILE_NAME,
  heartbeatMs: DEFAULT_HEARTBEAT_MS,
  staleMs: DEFAULT_STALE_MS,
  wait: true,
  recover: true
} as const

function coded<E extends Error>(error: E, code: string): E {
  return Object.assign(error, { code })
}

export function invalidType(name: string, expected: string, actual: unknown): TypeError {
  const kind = name.includes('.') ? 'property' : 'argument'
  const received =
    actual === null || actual === undefined
      ? String(actual)
      : typeof actual === 'function'
        ? `function ${actual.name}`
        : typeof actual === 'object'
          ? `an instance of ${actual.constructor?.name ?? 'Object'}`
          : `type ${typeof actual} (${inspect(actual, { breakLength: Infinity })})`
  return coded(
    new TypeError(`The "${name}" ${kind} must be ${expected}. Received ${received}`),
    'ERR_INVALID_ARG_TYPE'
  )
}

/** @param reason why the value is refused, as the rest of a sentence */
export function invalidValue(name: string, reason: string, actual: unknown): TypeError {
  const kind = name.includes('.') ? 'property' : 'argument'
  const message = `The ${kind} '${name}' ${reason}. Received ${inspect(actual)}`
  return coded(new TypeError(message), 'ERR_INVALID_ARG_VALUE')
}

/** @param reason why the value, which may be or contain a secret, is refused, as the rest of a sentence */
export function refused(name: string, reason: string): TypeError {
  const kind = name.includes('.') ? 'property' : 'argument'
  return coded(new TypeError(`The ${kind} '${name}' ${reason}`), 'ERR_INVALID_ARG_VALUE')
}

export function outOfRange(name: string, expected: string, actual: unknown): RangeError {
  const message = `The value of "${name}" is out of range. It must be ${expected}. Received ${inspect(actual)}`
  return coded(new RangeError(message), 'ERR_OUT_OF_RANGE')
}

/** Every option of the package, so that one object may serve several of its functions. */
const OPTIONS = [
  'fileName',
  'heartbeatMs',
  'logger',
  'onWait',
  'recover',
  'shared',
  'signal',
  'staleMs',
  'timeoutMs',
  'wait'
]

/** What other packages call their options, and what to use here. */
const MEANT = new Map([
  ['lockfilePath', "'options.fileName'"],
  ['onCompromised', "'unlock.signal'"],
  ['pollPeriod', "'options.timeoutMs', waiting does not poll"],
  ['realpath', "'file(path)', which resolves links"],
  ['retries', "'options.timeoutMs', waiting does not poll"],
  ['retryWait', "'options.timeoutMs', waiting does not poll"],
  ['update', "'options.heartbeatMs'"]
])

/** A name as somebody may remember it. */
const remembered = (name: string) => name.toLowerCase().replace(/ms$/, '')

function meant(name: string): string | undefined {
  const option = OPTIONS.find((known) => remembered(known) === remembered(name))
  return option ? `'options.${option}'` : MEANT.get(name)
}

const SERVER = /^(?:postgres|postgresql|etcd):\/\//i

/** What nobody calls a directory. */
const URL_LIKE = /^\s*(?:[a-z][a-z0-9+.-]+:\/\/|(?:jdbc:)?(?:postgres|postgresql|etcd):)/i

/** Whether it is the URL of a server, which only `openRoot` takes. */
export function isServerUrl(value: unknown): value is string | URL {
  return SERVER.test(value instanceof URL ? value.href : typeof value === 'string' ? value : '')
}

/** A path as the binding wants it. */
export function path(
  name: string,
  value: unknown,
  expected = 'of type string or a file: URL'
): string {
  if (isServerUrl(value)) {
    throw refused(
      name,
      'is the URL of a server: open it by openRoot, and pass the root that it returns'
    )
  }
  if (value instanceof URL) {
    // Not all of it: it may have a password.
    if (value.protocol !== 'file:') throw outOfRange(name, 'a file: URL', `${value.protocol}…`)
    value = fileURLToPath(value)
  }
  if (typeof value !== 'string') throw invalidType(name, expected, value)
  // Not shown: it may have a password.
  if (URL_LIKE.test(value)) {
    const paths =
      'must be a path (with ./ before it, if it looks like a URL) or a URL object of file:'
    throw refused(
      name,
      `${paths}; openRoot takes postgres:// and etcd:// too, with nothing before it`
    )
  }
  if (value.includes('\0')) throw outOfRange(name, 'a path without null bytes', value)
  return given(value)
}

/**
 * An object of options. One that is not known is refused: a lock that ignores a time limit, or whatever else
 * it was asked for, is worse than an error.
 *
 * @param elsewhere the options that other functions have, and what to use instead
 */
export function options<T extends object>(
  value: T | undefined,
  elsewhere: Record<string, string> = {}
): Partial<T> {
  if (value === undefined) return {}
  if (typeof value !== 'object' || value === null)
    throw invalidType('options', 'of type object', value)
  for (const name of Object.keys(value)) {
    const isElsewhere = Object.hasOwn(elsewhere, name)
    if (!isElsewhere && OPTIONS.includes(name)) continue
    const actual: unknown = Reflect.get(value, name)
    if (actual === undefined) continue
    const use = isElsewhere ? elsewhere[name] : meant(name)
    const reason = use === undefined ? 'is not an option' : `is not an option: use ${use}`
    throw invalidValue(`options.${name}`, reason, actual)
  }
  return value
}

/** The names of a lock's other files: with such a name, this lock would remove or write to another lock's file. */
const DERIVED_NAME = /\.(guard|next)$/

/** Folds a name as the most lenient file system does when it compares names. */
function fold(name: string): string {
  return name
    .replace(/[^\p{ASCII}]/gu, '')
    .replace(/[. ]+$/, '')
    .toLowerCase()
}

/** Whether Windows may have generated it as the short name of a longer one, whose file would get a second guard. */
function isShort(name: string): boolean {
  const [, base = '', extension = ''] = /^(.*?)(?:\.([^.]*))?$/s.exec(name)!
  return /~\d+$/.test(base) && Buffer.byteLength(base) <= 8 && Buffer.byteLength(extension) <= 3
}

/** A lock file's name, if one is given. */
export function fileName(value: unknown, name = 'options.fileName'): string | undefined {
  if (value === undefined) return undefined
  if (typeof value !== 'string') throw invalidType(name, 'of type string', value)
  const plain = value !== '' && value !== '.' && value !== '..' && !/[/\\:\0]/.test(value)
  if (!plain) throw outOfRange(name, 'a plain file name without separators', value)
  // A name of nothing but dots and spaces can't be confused with another.
  if (/[^. ][. ]+$/.test(value)) {
    throw outOfRange(name, 'a name that does not end in a dot or a space', value)
  }
  if (isShort(value)) {
    throw outOfRange(name, 'a name that is not like a short name (8.3)', value)
  }
  if (DERIVED_NAME.test(fold(value))) {
    throw outOfRange(
      name,
      'a name that does not end in .guard or .next, ignoring case and characters that are not ASCII',
      value
    )
  }
  if (Buffer.byteLength(value) > MAX_FILE_NAME_BYTES) {
    throw outOfRange(name, `at most ${MAX_FILE_NAME_BYTES} bytes`, value)
  }
  return value
}

/** Checks the times and rounds them to whole microseconds, as the core has them, to the safe side. */
export function terms(givenHeartbeatMs: unknown, givenStaleMs: unknown) {
  const heartbeatMs =
    givenHeartbeatMs === undefined
      ? defaults.heartbeatMs
      : milliseconds(
          'options.heartbeatMs',
          givenHeartbeatMs,
          MIN_HEARTBEAT_MS,
          `>= ${MIN_HEARTBEAT_MS}`
        )
  const least = MIN_STALE_IN_HEARTBEATS * heartbeatMs
  const expected = `>= ${least} (${MIN_STALE_IN_HEARTBEATS} x heartbeatMs)`
  if (givenStaleMs === undefined && defaults.staleMs < least) {
    // The message names the default, because the caller has not written it down.
    throw outOfRange(
      'options.staleMs',
      `given and ${expected}: the default is too short`,
      defaults.staleMs
    )
  }
  // `staleMs` is accepted if its third is `heartbeatMs`, however that division was rounded.
  const third = typeof givenStaleMs === 'number' && givenStaleMs / MIN_STALE_IN_HEARTBEATS
  const staleMs =
    third === heartbeatMs
      ? milliseconds('options.staleMs', givenStaleMs, 0, expected)
      : milliseconds('options.staleMs', givenStaleMs ?? defaults.staleMs, least, expected)
  return {
    heartbeatMs: Math.floor(heartbeatMs * 1000) / 1000,
    staleMs: Math.ceil(staleMs * 1000) / 1000
  }
}

/** The age from which `inspect` calls a lock stale. */
export function staleAge(value: unknown): number {
  return milliseconds('options.staleMs', value ?? defaults.staleMs, 0, '>= 0')
}

/** How long a request waits: until then for a held lock, or one attempt if that is 0. */
export function timeout(value: unknown, otherwise: number): number {
  if (value === undefined) return otherwise
  if (value === Infinity) return value
  return milliseconds('options.timeoutMs', value, 0, '>= 0')
}

function milliseconds(name: string, value: unknown, least: number, expected: string): number {
  if (typeof value !== 'number') throw invalidType(name, 'of type number', value)
  if (!(value >= least)) throw outOfRange(name, expected, value)
  if (value > Number.MAX_SAFE_INTEGER)
    throw outOfRange(name, `${expected} && <= ${Number.MAX_SAFE_INTEGER}`, value)
  return value
}

export function boolean(name: string, value: unknown, otherwise: boolean): boolean {
  if (value === undefined) return otherwise
  if (typeof value !== 'boolean') throw invalidType(name, 'of type boolean', value)
  return value
}

export function signal(value: unknown): AbortSignal | undefined {
  if (value === undefined) return undefined
  // By shape, as Node itself does it: signals of polyfills and of other realms are welcome.
  const { aborted, addEventListener, removeEventListener } = (value ?? {}) as Partial<AbortSignal>
  if (
    typeof value !== 'object' ||
    typeof aborted !== 'boolean' ||
    typeof addEventListener !== 'function' ||
    typeof removeEventListener !== 'function'
  ) {
    throw invalidType('options.signal', 'an instance of AbortSignal', value)
  }
  return value as AbortSignal
}

export function callback<F extends (...args: never[]) => unknown>(name: string, value: unknown): F {
  if (typeof value !== 'function') throw invalidType(name, 'of type function', value)
  return value as unknown as F
}
