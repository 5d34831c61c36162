import { execFile, execFileSync } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

import type { Adapter } from '../adapter.js'

const source = fileURLToPath(new URL('../../floor/floor.c', import.meta.url))
const program = fileURLToPath(new URL('../floor/floor', import.meta.url))
const compiler = process.env.CC ?? 'cc'

function compile(): void {
  mkdirSync(fileURLToPath(new URL('../floor', import.meta.url)), { recursive: true })
  try {
    execFileSync(compiler, ['-O2', '-Wall', '-o', program, source], { stdio: 'pipe' })
  } catch (error) {
    throw new Error(`floor.c could not be compiled: ${(error as Error).message.split('\n')[0]}`, {
      cause: error
    })
  }
}

/** A C program instead of a library: the system calls of a free lock, and nothing else. */
export interface Floor extends Adapter {
  pairs(root: string, seconds: number): Promise<{ pairs: number; ms: number }>
}

export const isFloor = (adapter: Adapter): adapter is Floor => 'pairs' in adapter

function floor(mode: 'full' | 'seed', name: string, how: string): Floor {
  return {
    name,
    how,
    variant: true,
    daily: true,
    excludesWithinProcess: true,
    abortable: false,
    version: () => execFileSync(compiler, ['--version'], { encoding: 'utf8' }).split('\n')[0] ?? '',
    async load() {
      compile()
      return () => {
        throw new Error('the floor is a program of its own')
      }
    },
    async pairs(root, seconds) {
      const { stdout } = await promisify(execFile)(program, [mode, root, String(seconds)])
      const [pairs = 0, ns = 0] = stdout.split(' ').map(Number)
      return { pairs, ms: ns / 1e6 }
    }
  }
}

export const floors = [
  floor(
    'full',
    'C, the same calls',
    '`floor/floor.c full`: the system calls of a free `tryLock` and unlock, in their order, in C'
  ),
  floor(
    'seed',
    "C, the seed's calls",
    '`floor/floor.c seed`: open, flock, ftruncate, fstat, stat, unlock, close, in C'
  )
]
