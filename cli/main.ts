#!/usr/bin/env node
// The command. What a verb needs is loaded when it is asked for, so that help comes at once.

import { exits } from './exits'
import { Failure, misused } from './failure'
import { help } from './help'
import { KEEPER, PARTNER } from './inner-verbs'
import { version } from '../src/version'

type Verb = (args: string[]) => Promise<number>

const verbs: Record<string, () => Promise<Verb>> = {
  [PARTNER]: async () => (await import('./partner.js')).partner,
  [KEEPER]: async () => (await import('./keeper.js')).keeper,
  run: async () => (await import('./run.js')).run,
  status: async () => (await import('./status.js')).status,
  doctor: async () => (await import('./doctor.js')).doctor
}

const asksForHelp = (word?: string) => word === '--help' || word === '-h'

async function command([verb, ...args]: string[]): Promise<number> {
  const own = args.slice(0, args.includes('--') ? args.indexOf('--') : args.length)
  if (verb === 'help' || asksForHelp(verb) || own.some(asksForHelp)) {
    process.stdout.write(help)
    return exits.ok
  }
  if (verb === '--version') {
    process.stdout.write(`${version}\n`)
    return exits.ok
  }
  if (verb === undefined) throw misused('say what to do: run, status or doctor')
  const load = Object.hasOwn(verbs, verb) ? verbs[verb] : undefined
  if (!load) throw misused(`there is no ${JSON.stringify(verb)}: say run, status or doctor`)
  return (await loaded(load))(args)
}

/** What can fail while loading is the binding, which npm may have left out. */
async function loaded(load: () => Promise<Verb>): Promise<Verb> {
  try {
    return await load()
  } catch (error) {
    const next = 'More in docs/errors.md: the binding is not found'
    throw new Failure((error as Error).message, next, exits.unavailable)
  }
}

async function main(): Promise<void> {
  // Whoever reads may have read enough (`| head`); what was begun is ended all the same.
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {})
  try {
    process.exitCode = await command(process.argv.slice(2))
  } catch (error) {
    if (!(error instanceof Failure)) throw error
    process.stderr.write(String(error))
    process.exitCode = error.exit
  }
}

void main()
