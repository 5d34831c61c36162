// What this machine has not. Programs that are no tests ask, too.

import { spawnSync } from 'node:child_process'

/** A reason to skip, when there is one: what this machine is not, or has not. */
export type Missing = string | false | Program

/** A program that could be installed. */
export interface Program {
  readonly program: string
}

/** A program, and whether it can do here what it is tried for. */
export function tool(name: string, ...probe: string[]): Missing {
  return onPath(name) || (!runs(name, ...probe) && name)
}

/** A program that has no harmless way to be tried. */
export function onPath(program: string): Missing {
  return !runs('sh', '-c', `command -v ${program}`) && { program }
}

export function runs(command: string, ...args: string[]): boolean {
  return spawnSync(command, args, { stdio: 'ignore' }).status === 0
}
