// What all scenarios need: claims, and a stand-in for AVA's test context.

import type { ExecutionContext } from 'ava'

const began = performance.now()
let failed = 0

/** How long ago that was, by `performance.now()`. */
export function seconds(since: number): string {
  return ((performance.now() - since) / 1_000).toFixed(1)
}

export function note(what: string): void {
  console.log(`${seconds(began)} s: ${what}`)
}

export function claim(what: string, holds: boolean): void {
  note(`${holds ? 'ok' : 'NOT OK'}: ${what}`)
  if (!holds) failed += 1
}

const endings: (() => unknown)[] = []

/** For the tests' helpers. */
export const t = {
  teardown: (ending: () => unknown) => endings.push(ending)
} as never as ExecutionContext

export async function end(): Promise<never> {
  for (const ending of endings.toReversed()) await ending()
  process.exit(failed > 0 ? 1 : 0)
}
