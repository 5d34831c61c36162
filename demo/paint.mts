// Colours, and how things are written.

import type { Tone } from './book.mjs'

// https://no-color.org: any value but an empty one.
const coloured = Boolean(process.stdout.isTTY) && !process.env['NO_COLOR']

const paint =
  (code: string) =>
  (text: string): string =>
    coloured ? `\x1b[${code}m${text}\x1b[0m` : text

export const bold = paint('1')
export const dim = paint('2')
export const green = paint('32')
export const yellow = paint('33')
export const red = paint('31')
export const cyan = paint('36')

export const toned: Record<Tone, (text: string) => string> = {
  good: green,
  bad: red,
  cold: cyan,
  plain: (text) => text
}

/** Cents, as people write them: `10,000.00`. */
export const money = (cents: number): string =>
  (cents / 100).toLocaleString('en-US', { minimumFractionDigits: 2 })

export const count = (number: number): string => number.toLocaleString('en-US')

export const seconds = (ms: number): string => `${(ms / 1000).toFixed(1)} s`

export const millis = (ms: number): string => `${ms.toFixed(ms < 1 ? 2 : ms < 10 ? 1 : 0)} ms`

export const cut = (text: string, width: number): string =>
  text.length <= width ? text : `${text.slice(0, width - 1)}…`
