import { parseArgs, type ParseArgsConfig } from 'node:util'

import { misused } from './failure'

/** Parses a verb's options and its one directory. */
export function parse<O extends NonNullable<ParseArgsConfig['options']>>(
  verb: string,
  args: string[],
  options: O
) {
  const { values, positionals } = parsed(args, options)
  const [directory, extra] = positionals
  if (directory === undefined) throw misused(`${verb} needs a directory`)
  if (directory === '') {
    const next = 'Is it from a variable that is not set? The current directory is "."'
    throw misused(`${verb} needs a directory, but its name is empty`, next)
  }
  if (extra !== undefined) {
    throw misused(`${verb} takes one directory, but got ${directory} and ${extra}`)
  }
  return { values, directory }
}

function parsed<O extends NonNullable<ParseArgsConfig['options']>>(args: string[], options: O) {
  try {
    return parseArgs({ args, options, allowPositionals: true, strict: true })
  } catch (error) {
    // Node's own words, without its advice.
    throw misused((error as Error).message.split(/\.? To specify|\.?\n/)[0]!)
  }
}

/** A number in a range, from the command line. */
export function number(name: string, text: string, least: number, most: number): number {
  return checked(name, text, least, most, Number.isFinite, 'a number')
}

export function whole(name: string, text: string, least: number, most: number): number {
  return checked(name, text, least, most, Number.isInteger, 'a whole number')
}

function checked(
  name: string,
  text: string,
  least: number,
  most: number,
  is: (value: number) => boolean,
  kind: string
): number {
  const value = Number(text)
  if (text.trim() === '' || !is(value) || value < least || value > most) {
    throw misused(`${name} must be ${kind} from ${least} to ${most}, got ${JSON.stringify(text)}`)
  }
  return value
}
