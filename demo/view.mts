// The screen: the story, a line per event; on a terminal with a picture below it
// that is redrawn all the time.

import { styleText } from 'node:util'

const { env, stdout } = process
const live = stdout.isTTY && !env['CI'] && env['TERM'] !== 'dumb'
let picture: string[] = []

// https://no-color.org: any value but an empty one.
export const paint = (colour: 'cyan' | 'dim' | 'green' | 'red', text: string): string =>
  stdout.isTTY && !env['NO_COLOR'] ? styleText(colour, text) : text

/** Prints a permanent line, if there is one, and the picture below it. */
export function show(line: string, below = picture): void {
  if (!live && line) console.log(line)
  if (!live) return
  const up = picture.length > 0 ? `\x1b[${picture.length}A` : ''
  // Long lines are cut off (?7l), because a wrapped line would be two. Each write leaves the
  // terminal as it was, so that there is nothing to restore, however this ends.
  stdout.write(
    `${up}\r\x1b[J${line && `${line}\n`}\x1b[?7l${below.map((text) => `${text}\n`).join('')}\x1b[?7h`
  )
  picture = below
}
