import { fileURLToPath } from 'node:url'

import type { ExecutionContext } from 'ava'

import { program, type Child } from './child.mjs'

const main = fileURLToPath(new URL('../../../cli.js', import.meta.url))

/** The command line of the command. */
export const rootlock = (...args: string[]): string[] => [process.execPath, main, ...args]

/** The command line of a script. */
export const node = (script: string, ...args: string[]): string[] => [
  process.execPath,
  '-e',
  script,
  ...args
]

/** Of a script that says that it is ready, and ends on request. */
export const untilTold = node(
  'process.on("SIGTERM", () => process.exit(0)); console.log("ready"); setInterval(() => {}, 1e6)'
)

/** Starts the command; its streams are pipes. */
export function command(t: ExecutionContext, ...args: string[]): Child {
  const [file, ...line] = rootlock(...args)
  return program(t, file!, line)
}

/** Runs the command to its end. */
export async function run(t: ExecutionContext, ...args: string[]) {
  const started = command(t, ...args)
  let [out, err] = ['', '']
  started.process.stdout!.on('data', (text: string) => (out += text))
  started.process.stderr!.on('data', (text: string) => (err += text))
  const { code } = await started.ends()
  return { code, out, err }
}

/** The command line in a terminal of 80 columns: `script` of util-linux makes one. */
export function inTerminal(t: ExecutionContext, line: string[]): Child {
  const quoted = line.map((word) => `'${word}'`).join(' ')
  return program(t, 'script', ['-qec', `stty cols 80; exec ${quoted}`, '/dev/null'])
}
