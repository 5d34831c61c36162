// The screen: the story, a line for whatever is worth one; on a terminal with a picture below it
// that is drawn again and again.

import { styleText } from 'node:util'

const { env, stdout } = process
const live = stdout.isTTY && !env['CI'] && env['TERM'] !== 'dumb'
let picture: string[] = []

// https://no-color.org: any value but an empty one.
export const paint = (colour: 'cyan' | 'dim' | 'green' | 'red', text: string): string =>
  stdout.isTTY && !env['NO_COLOR'] ? styleText(colour, text) : text

/** A line that stays, if there is one, and what is below it from now on. */
export function show(line: string, below = picture): void {
  if (!live && line) console.log(line)
  if (!live) return
  const up = picture.length > 0 ? `\x1b[${picture.length}A` : ''
  // What is too long is cut off (?7l), for a line that wraps would be two. Each write leaves the
  // terminal as it was, so that there is nothing to restore, however this ends.
  stdout.write(
    `${up}\r\x1b[J${line && `${line}\n`}\x1b[?7l${below.map((text) => `${text}\n`).join('')}\x1b[?7h`
  )
  picture = below
}
