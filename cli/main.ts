#!/usr/bin/env node
// The command. Each verb is loaded only when it is used, so that the help appears at once.

import { exits } from './exits'
import { denied, Failure, misused, NO_BINDING } from './failure'
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
  if (verb === undefined) throw misused('no verb given: use run, status or doctor')
  const load = Object.hasOwn(verbs, verb) ? verbs[verb] : undefined
  if (!load) throw misused(`unknown verb ${JSON.stringify(verb)}: use run, status or doctor`)
  return (await loaded(load))(args)
}

/** Loading fails only if the binding does, which npm may have left out. */
async function loaded(load: () => Promise<Verb>): Promise<Verb> {
  try {
    return await load()
  } catch (error) {
    throw new Failure((error as Error).message, NO_BINDING, exits.unavailable)
  }
}

async function main(): Promise<void> {
  // A reader may close the pipe early (`| head`); the command finishes all the same.
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {})
  try {
    process.exitCode = await command(process.argv.slice(2))
  } catch (error) {
    const failure = error instanceof Failure ? error : denied(error)
    if (!failure) throw error
    process.stderr.write(String(failure))
    process.exitCode = failure.exit
  }
}

void main()
