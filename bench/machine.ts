import { execFileSync } from 'node:child_process'
import { statfsSync } from 'node:fs'
import os from 'node:os'
import { fileURLToPath } from 'node:url'

const fileSystems: Record<number, string> = {
  0xef53: 'ext4',
  0x01021994: 'tmpfs',
  0x58465342: 'xfs',
  0x9123683e: 'btrfs',
  0x794c7630: 'overlay'
}

function git(...parameters: string[]): string {
  const cwd = fileURLToPath(new URL('..', import.meta.url))
  return execFileSync('git', parameters, { cwd, encoding: 'utf8', stdio: 'pipe' }).trim()
}

function commit(): string {
  try {
    const changed = git(
      'status',
      '--porcelain',
      '--',
      '..',
      ':(exclude)../bench/results.md',
      ':(exclude)../bench/pictures'
    )
    return git('rev-parse', '--short=12', 'HEAD') + (changed ? ', with uncommitted changes' : '')
  } catch {
    return 'none'
  }
}

/** What readers must know to compare the numbers with their own. */
export function machine(): Record<string, string> {
  const cpus = os.cpus()
  const type = statfsSync(os.tmpdir()).type
  return {
    CPU: `${cpus[0]?.model.trim() ?? 'unknown'}, ${cpus.length} cores`,
    Memory: `${Math.round(os.totalmem() / 2 ** 30)} GiB`,
    System: `${os.type()} ${os.release()} ${os.machine()}`,
    'File system': fileSystems[type] ?? `0x${type.toString(16)}`,
    Node: process.version,
    'Load before': os.loadavg()[0]!.toFixed(2),
    Commit: commit()
  }
}
