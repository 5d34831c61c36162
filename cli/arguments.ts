import { parseArgs, type ParseArgsConfig } from 'node:util'

import { file as lockOfFile } from '../src/file'
import { misused, naming } from './failure'

/** Which lock a verb is about: all of them take these. */
const which = {
  file: { type: 'string' },
  'file-name': { type: 'string' }
} as const

/** A lock, as the command line names it. */
export interface Target {
  directory: string
  fileName: string | undefined
  /** The words that name it, for advice. */
  words: string
}

/** Parses a verb's options and its one directory, or file. */
export function parse<O extends NonNullable<ParseArgsConfig['options']>>(
  verb: string,
  args: string[],
  options: O
) {
  const { values, positionals } = parsed(args, { ...options, ...which })
  const { file, 'file-name': fileName } = values as { file?: string; 'file-name'?: string }
  if (file === undefined) return { values, target: ofDirectory(verb, positionals, fileName) }
  const also = positionals[0] ?? fileName
  if (also !== undefined) {
    const next = 'To name the lock file in a directory, use: --file-name NAME DIR'
    throw misused(`${verb} takes a directory or --file, but got both: ${file} and ${also}`, next)
  }
  return { values, target: ofFile(file) }
}

function ofDirectory(verb: string, positionals: string[], fileName: string | undefined): Target {
  const [directory, extra] = positionals
  if (directory === undefined) throw misused(`${verb} needs a directory, or --file`)
  if (directory === '') {
    const next = 'Is it from a variable that is not set? The current directory is "."'
    throw misused(`${verb} needs a directory, but its name is empty`, next)
  }
  if (extra !== undefined) {
    throw misused(`${verb} takes one directory, but got ${directory} and ${extra}`)
  }
  const words = fileName === undefined ? directory : `--file-name ${fileName} ${directory}`
  return { directory, fileName, words }
}

function ofFile(path: string): Target {
  try {
    const { directory, fileName } = lockOfFile(path)
    return { directory, fileName, words: `--file ${path}` }
  } catch (error) {
    throw naming(error, path)
  }
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
