import { readdirSync, readFileSync } from 'node:fs'

export interface Spent {
  wakeUps: number
  cpuMs: number
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    // The thread or process has just ended.
    return ''
  }
}

/** The process and its descendants, by process group (every worker leads its own). */
export function processesOfGroup(group: number): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => {
      const stat = read(`/proc/${pid}/stat`)
      // pid (command, may contain anything) state ppid pgrp …
      return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[2]) === group
    })
    .map(Number)
}

/** Number of threads of the process. */
export const threads = (pid: number): number => readdirSync(`/proc/${pid}/task`).length

/** The kernel's counts so far, by thread. */
export type Readings = ReadonlyMap<string, Spent>

export function readings(pids: readonly number[]): Readings {
  const tasks = pids.flatMap((pid) =>
    readdirSync(`/proc/${pid}/task`).map((thread) => `/proc/${pid}/task/${thread}`)
  )
  return new Map(
    tasks.map((task) => [
      task,
      {
        wakeUps: Number(
          /^voluntary_ctxt_switches:\s+(\d+)/m.exec(read(`${task}/status`))?.[1] ?? 0
        ),
        // Nanoseconds on a CPU; `stat` would only have ticks of 10 ms.
        cpuMs: Number(read(`${task}/schedstat`).split(' ')[0]) / 1e6
      }
    ])
  )
}

/** The time spent between two readings. The last part of a thread that has ended meanwhile is missing. */
export function spent(before: Readings, after: Readings): Spent {
  const total: Spent = { wakeUps: 0, cpuMs: 0 }
  for (const [task, { wakeUps, cpuMs }] of after) {
    total.wakeUps += wakeUps - (before.get(task)?.wakeUps ?? 0)
    total.cpuMs += cpuMs - (before.get(task)?.cpuMs ?? 0)
  }
  return total
}
