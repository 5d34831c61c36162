// The error when no native binding loads: the platform, what was tried, and what to do.

import { readdirSync } from 'node:fs'
import { dirname, join } from 'node:path'

import type * as Binding from '../binding'
import { isDenied } from './permission-model'

/** An attempt to load a file or package: the binding, or the error; neither if it does not exist. */
export interface Attempt {
  what: string
  binding?: typeof Binding
  error?: unknown
}

/** What a binding is of: this package, or the one for servers. */
export interface Product {
  /** As in the binding's file name. */
  readonly name: string
  /** What the names of the platforms' packages begin with, in our scope. */
  readonly packages: string
}

/** Node's code where addons are switched off. */
const DISABLED = 'ERR_DLOPEN_DISABLED'

/** The platforms that have packages. */
const targets = [
  'darwin-arm64',
  'darwin-x64',
  'freebsd-x64',
  'linux-arm-gnueabihf',
  'linux-arm64-gnu',
  'linux-arm64-musl',
  'linux-x64-gnu',
  'linux-x64-musl',
  'win32-arm64-msvc',
  'win32-x64-msvc'
]

export function explain(
  product: Product,
  target: string,
  version: string,
  here: string,
  attempts: Attempt[]
): Error {
  const refused = attempts.filter(isRefused)
  const denied = attempts.filter(({ error }) => isDenied(error))
  const text = [
    `${product.name} ${version} has no native binding for this process: ${target}, ${process.release.name} ${process.version}`,
    'Tried:',
    ...attempts.map((attempt) => `  ${attempt.what}: ${outcome(attempt, version)}`),
    'What to do:',
    ...advice(product, target, here, refused, denied).map((line) => `  ${line}`)
  ].join('\n')
  const cause = (refused[0] ?? denied[0] ?? attempts.at(-1))?.error
  // Node's own code for an addon that does not load.
  return Object.assign(new Error(text, cause === undefined ? {} : { cause }), {
    code: 'ERR_DLOPEN_FAILED'
  })
}

/** Whether a binding exists but can't be used; every other error means that there is none. */
function isRefused({ binding, error }: Attempt): boolean {
  return binding !== undefined || ['ERR_DLOPEN_FAILED', DISABLED].includes(codeOf(error) ?? '')
}

export function codeOf(error: unknown): string | undefined {
  return (error as NodeJS.ErrnoException | undefined)?.code
}

export function outcome(attempt: Attempt, version: string): string {
  if (attempt.binding) return `has version ${attempt.binding.VERSION}, not ${version}`
  if (!attempt.error || codeOf(attempt.error) === 'MODULE_NOT_FOUND') return 'not found'
  return firstLine(attempt.error)
}

function firstLine(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).split('\n', 1)[0]!
}

function advice(
  product: Product,
  target: string,
  here: string,
  refused: Attempt[],
  denied: Attempt[]
): string[] {
  if (refused.some(({ binding }) => binding)) {
    return ['The versions must match: install again, build again, or copy the file again.']
  }
  if (refused.some(({ error }) => codeOf(error) === DISABLED)) {
    return [
      'This process may not load native addons: start Node without --no-addons, or, under its permission',
      'model, with --allow-addons. (Check NODE_OPTIONS, too.) Nothing has to be installed.'
    ]
  }
  if (refused.length > 0) {
    return [
      'The file exists, but the system refuses it for the reason above: it is truncated, or built for',
      'another or a newer system (Linux: glibc 2.17 or later, or musl). Install again on this system.'
    ]
  }
  if (denied.length > 0) {
    return [
      "Node's permission model forbids to read it: start Node with --allow-fs-read for the folders of",
      `rootlock and of @rootlock beside it, or in a bundle for ${product.name}.${target}.node.`
    ]
  }
  if (!targets.includes(target)) {
    return [
      `There are packages for ${targets.join(', ')}.`,
      'For another platform, build from source: see CONTRIBUTING.md.'
    ]
  }
  const others = elsewhere(product, here)
  return [
    others.length > 0
      ? `${others.join(', ')} is installed: node_modules comes from another platform. Install on this one.`
      : 'Install with optional dependencies (npm: without --omit=optional), on the platform that it will run on.',
    `In a bundle: put ${product.name}.${target}.node beside it (docs/bundling.md).`
  ]
}

/** Our packages for other platforms, nearest first. */
function elsewhere({ packages }: Product, here: string): string[] {
  for (let folder = here; ; folder = dirname(folder)) {
    try {
      const names = readdirSync(join(folder, 'node_modules', '@rootlock'))
      return names.filter((name) => name.startsWith(packages)).map((name) => `@rootlock/${name}`)
    } catch {
      if (folder === dirname(folder)) return []
    }
  }
}
