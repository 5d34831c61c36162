import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import path from 'node:path'

import type { Acquire, Adapter } from '../adapter.js'

const version = () =>
  execFileSync('flock', ['--version'], { encoding: 'utf8' }).trim().replace('flock from ', '')

/** `flock(1)` as a shell script uses it: a child that holds the lock until its input ends. */
export const utilLinux: Adapter = {
  name: 'flock(1)',
  how: '`flock -F .lock sh -c "echo; read x"` per lock: says when it holds the lock, ends when its input does',
  excludesWithinProcess: true,
  abortable: true,
  processPerLock: true,
  version,
  async load(): Promise<Acquire> {
    version()
    return async (root, signal) => {
      const file = path.join(root, '.lock')
      const child = spawn('flock', ['-F', file, 'sh', '-c', 'echo; read x'], {
        stdio: ['pipe', 'pipe', 'inherit'],
        signal,
        killSignal: 'SIGKILL'
      })
      const ended = once(child, 'exit')
      ended.catch(() => {})
      await Promise.race([
        once(child.stdout, 'data'),
        ended.then(() => {
          throw new Error('flock ended without the lock')
        })
      ])
      return async () => {
        child.stdin.end()
        await ended
      }
    }
  }
}
