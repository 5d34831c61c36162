// The URLs of servers. Only the binding understands them; here they are recognised, their passwords are kept out of
// everything that is shown, and those are refused that can be read in two ways.
//
// Not by `new URL`, which knows neither several hosts nor `postgres://app@/db?host=/run/postgresql`.

import { invalidType, isServerUrl, refused } from './arguments'
import { printable } from './printable'

/** A server's URL, with what should not stand in it beside it. */
export interface ServerUrl {
  /** `postgres://user@host:port/database?root=name`, or `etcd://user@host:port,host:port/prefix`. */
  url: string | URL
  /** Of the user. Never shown, logged or passed on. */
  password?: string | undefined
  /**
   * How the connection is encrypted: `true` verifies the server's certificate and name, by the system's authorities or
   * those in the PEM file `ca`; `false` does not encrypt. The default is `true`, except for a server on this machine.
   */
  tls?: boolean | { ca: string } | undefined
}

/** A root's URL, for the binding and for people. */
export interface Secret {
  /** Has the password. */
  readonly url: string
  /** Has not. */
  readonly shown: string
  readonly hasPassword: boolean
}

/** Whether it is a server's URL with more beside it. */
export function isServer(value: unknown): value is ServerUrl {
  return typeof value === 'object' && value !== null && !(value instanceof URL) && 'url' in value
}

/** What a URL consists of. An `@`, a slash or a question mark in a password must be encoded, so that nothing else is taken for it. */
const URL_PARTS =
  /^(?<scheme>[a-z]+:\/\/)(?:(?<user>[^:@/?#]*)(?::(?<password>[^@/?#]*))?@)?(?<place>[^@?#]*)(?:\?(?<query>[^@#]*))?$/i

/** The parameters that may be shown: another one may be a password whose name is mistyped. */
const SHOWN =
  /^(?:root|host|port|user|dbname|application_name|pooler|sync|sslmode|sslrootcert|sslcert|sslkey|connect_timeout)=/

/** The parameters that are as secret as the password. */
const SECRET = /^(?:password|sslpassword)=/

interface Parts {
  scheme: string
  user: string | undefined
  password: string | undefined
  /** Hosts and database. */
  place: string
  query: string[]
}

/** Reads a server's URL. No error shows it, because what looks like another part may be the password. */
export function serverUrl(name: string, given: string | URL | ServerUrl): Secret {
  if (!isServer(given)) return secret(parts(name, given))
  for (const key of Object.keys(given)) if (!KNOWN.has(key)) throw unknown(name, key)
  const url = `${name}.url`
  if (!isServerUrl(given.url)) throw invalidType(url, 'a postgres: or etcd: URL', kindOf(given.url))
  const { query, ...read } = parts(url, given.url)
  const password = passwordOf(`${name}.password`, given.password)
  const tls = tlsOf(`${name}.tls`, given.tls)
  if (password !== undefined && (read.password !== undefined || query.some(isSecret))) {
    throw refused(`${name}.password`, 'must not be given beside a password in the URL')
  }
  if (tls.length > 0 && query.some((each) => each.startsWith('ssl'))) {
    throw refused(`${name}.tls`, 'must not be given beside sslmode or sslrootcert in the URL')
  }
  return secret({ ...read, password: password ?? read.password, query: [...query, ...tls] })
}

/** One that is not known is refused: a root that was meant to be another one is worse than an error. */
const KNOWN = new Set(['url', 'password', 'tls'])

function unknown(name: string, key: string): TypeError {
  return refused(
    `${name}.${printable(key)}`,
    'is not known: beside a url, there are password and tls; all else is in the URL, as ?root=name'
  )
}

function parts(name: string, given: string | URL): Parts {
  const { groups } = URL_PARTS.exec(String(given)) ?? {}
  // oxlint-disable-next-line no-control-regex -- it is what is searched for
  if (!groups || /[\x00-\x20\x7f]/.test(String(given))) {
    const what =
      'postgres://user:password@host:port/database?root=name or etcd://user:password@host:port/prefix'
    throw refused(name, `must look like ${what}, with @ : / ? # % and spaces in its parts encoded`)
  }
  const { scheme, user, password, place, query } = groups
  const parameters = query === undefined || query === '' ? [] : query.split('&')
  return { scheme: scheme!, user, password, place: place!, query: parameters }
}

const isSecret = (parameter: string) => SECRET.test(parameter)

function secret({ scheme, user, password, place, query }: Parts): Secret {
  const joined = (userInfo: string | undefined, parameters: string[]) =>
    scheme +
    (userInfo === undefined ? '' : `${userInfo}@`) +
    place +
    (parameters.length > 0 ? `?${parameters.join('&')}` : '')
  return {
    url: joined(password === undefined ? user : `${user ?? ''}:${password}`, query),
    shown: joined(
      user,
      query.filter((parameter) => SHOWN.test(parameter))
    ),
    hasPassword: password !== undefined || query.some(isSecret)
  }
}

function passwordOf(name: string, given: unknown): string | undefined {
  if (given === undefined) return undefined
  if (typeof given !== 'string') throw refused(name, 'must be of type string')
  return encodeURIComponent(given)
}

function tlsOf(name: string, given: unknown): string[] {
  switch (given) {
    case undefined:
      return []
    case true:
      return ['sslmode=verify-full']
    case false:
      return ['sslmode=disable']
  }
  const { ca } = (given ?? {}) as { ca?: unknown }
  if (typeof given !== 'object' || typeof ca !== 'string') {
    throw invalidType(name, "of type boolean or an object with the path of a file, 'ca'", given)
  }
  return ['sslmode=verify-full', `sslrootcert=${encodeURIComponent(ca)}`]
}

/** A URL of another kind may have a password too. */
function kindOf(given: unknown): unknown {
  return given instanceof URL ? given.protocol : typeof given === 'string' ? '…' : given
}
