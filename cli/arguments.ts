import { parseArgs, type ParseArgsConfig } from 'node:util'

import { isServerUrl } from '../src/arguments'
import { file as lockOfFile } from '../src/file'
import { serverUrl } from '../src/server-url'
import { misused, naming } from './failure'
import { quoted } from './words'

/** Which lock a verb is about: all of them take these. */
const which = {
  file: { type: 'string' },
  'file-name': { type: 'string' }
} as const

/** A lock, as the command line names it. */
export interface Target {
  /** Or a server's URL without its password, for people. */
  directory: string
  /** The server's URL with its password, if it is one. */
  server: string | undefined
  fileName: string | undefined
  /** The words of a command line that name it, for advice. */
  words: string
}

/** What is locked, for the library. */
export const lockable = ({ server, directory }: Pick<Target, 'server' | 'directory'>): string =>
  server ?? directory

/** Parses a verb's options and its one directory, file or URL. */
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
  const { url: server, shown } = isServerUrl(directory)
    ? ofServer(directory)
    : { url: undefined, shown: directory }
  const words =
    fileName === undefined ? quoted(shown) : `--file-name ${quoted(fileName)} ${quoted(shown)}`
  return { directory: shown, server, fileName, words }
}

/** A password that is not in the URL is in the environment, where the server's own programs look for it. */
function ofServer(text: string) {
  try {
    const given = serverUrl('URL', text)
    // Everybody sees a program's arguments; on many systems this takes the password out of them.
    if (given.url !== given.shown) process.title = `rootlock ${given.shown}`
    const password = given.hasPassword ? undefined : passwordFor(given.url)
    return password === undefined ? given : serverUrl('URL', { url: text, password })
  } catch (error) {
    throw misused((error as Error).message)
  }
}

function ofFile(path: string): Target {
  if (isServerUrl(path)) throw misused('--file takes a path', 'Leave --file out before a URL')
  try {
    const { directory, fileName } = lockOfFile(path)
    return { directory, server: undefined, fileName, words: `--file ${quoted(path)}` }
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

/** As the engine's own programs take it. */
function passwordFor(url: string): string | undefined {
  return process.env[/^etcd:/i.test(url) ? 'ETCDCTL_PASSWORD' : 'PGPASSWORD']
}
