// The binding for servers, from a package of its own. It is loaded when the first server is opened: who locks only
// directories loads nothing of it.

import type * as Binding from '../binding'
import { beside } from './beside'
import { openEnvironment, type Environment } from './environment'
import { codeOf, outcome, type Attempt } from './no-binding'
import { version } from './version'

const PACKAGE = '@rootlock/remote'

let environment: Environment | undefined

/** The environment of servers. */
export function servers(): Environment {
  return (environment ??= openEnvironment(load(), 'server'))
}

function load(): typeof Binding {
  const attempts: Attempt[] = []
  for (const way of [() => beside('rootlock-remote'), installed]) {
    const attempt = way()
    if (attempt.binding?.VERSION === version) return attempt.binding
    attempts.push(attempt)
  }
  throw explain(attempts)
}

/** Required by a literal name that bundlers can follow, in a `try` so that they accept that it is missing. */
function installed(): Attempt {
  try {
    return { what: PACKAGE, binding: require('@rootlock/remote') as typeof Binding }
  } catch (error) {
    return { what: PACKAGE, error }
  }
}

function explain(attempts: Attempt[]): Error {
  const { error } = attempts.at(-1)!
  // It has its own explanation, unless it is missing.
  if (error !== undefined && codeOf(error) !== 'MODULE_NOT_FOUND') return error as Error
  const text = [
    `a server's root needs the package ${PACKAGE} ${version}`,
    'Tried:',
    ...attempts.map((attempt) => `  ${attempt.what}: ${outcome(attempt, version)}`),
    'What to do:',
    `  npm install ${PACKAGE}@${version}`
  ].join('\n')
  const cause = attempts.find((attempt) => attempt.error)?.error
  return Object.assign(new Error(text, cause === undefined ? {} : { cause }), {
    code: 'ERR_DLOPEN_FAILED'
  })
}
