// The whole machine sleeps, by an alarm of its clock, while a lock is held.

import { mkdirSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

import { tryLock, type LockError } from 'rootlock'

import { eventually } from '../../__test__/helpers/eventually.mjs'
import { child } from '../../__test__/helpers/child.mjs'
import { claim, end, note, t } from './scenario.mjs'

const TERMS = { heartbeatMs: 1_000, staleMs: 5_000 }

/** Sleeps until the alarm; returns by how much the clocks say that it did, in seconds. */
function sleep(seconds: number): number {
  const before = apart()
  writeFileSync('/sys/class/rtc/rtc0/wakealarm', '0')
  writeFileSync('/sys/class/rtc/rtc0/wakealarm', `+${seconds}`)
  writeFileSync('/sys/power/state', 'mem')
  return apart() - before
}

/** The difference between the clock that counts sleep and the one that does not. */
function apart(): number {
  const sinceBoot = Number(readFileSync('/proc/uptime', 'utf8').split(' ')[0])
  return sinceBoot - performance.now() / 1_000
}

function root(name: string): string {
  const path = join('/tmp', name)
  mkdirSync(path)
  return path
}

note(
  `kernel ${readFileSync('/proc/version', 'utf8').split(' ')[2]}, ${readFileSync('/sys/power/state', 'utf8').trim()}`
)

for (const seconds of [3, 12]) {
  const place = root(`alone-${seconds}`)
  const unlock = await tryLock(place, TERMS)
  const slept = sleep(seconds)
  note(`slept for ${slept.toFixed(1)} s by the difference of the clocks`)
  claim(`it slept for about ${seconds} s`, slept > seconds - 2.5)
  const woke = Date.now()
  await eventually('it beats again', () => statSync(join(place, '.lock')).mtimeMs >= woke)
  claim(
    `a holder alone keeps its lock over a sleep of ${seconds} s (stale: 5 s)`,
    !unlock.signal.aborted
  )
  const token = unlock.token
  await unlock()
  const again = await tryLock(place, { ...TERMS, wait: false })
  claim('the next token is greater', again.token > token)
  await again()
}

{
  const place = root('preempted')
  const unlock = await tryLock(place, TERMS)
  const { signal } = unlock
  // Between two beats, as somebody on another machine would while this one sleeps.
  const file = join(place, '.lock')
  writeFileSync(`${file}.next`, '')
  renameSync(`${file}.next`, file)
  const slept = sleep(8)
  note(`slept for ${slept.toFixed(1)} s by the difference of the clocks`)
  await eventually('it is told', () => signal.aborted)
  const { reason } = signal.reason as LockError
  claim(`a holder that was preempted while it slept is told so: ${reason}`, reason === 'hijacked')
  await unlock()
}

{
  // The contender sleeps too: what nobody saw does not count as watched.
  const place = root('both')
  const holder = child(t, 'holder', { root: place, options: TERMS })
  await holder.says('held')
  const waiting = new AbortController()
  let granted = false
  const wait = tryLock(place, { ...TERMS, signal: waiting.signal }).then(
    () => (granted = true),
    () => {}
  )
  await new Promise((resolve) => setTimeout(resolve, 500))
  sleep(12)
  const woke = Date.now()
  await eventually('the holder beats again', () => statSync(join(place, '.lock')).mtimeMs >= woke)
  await new Promise((resolve) => setTimeout(resolve, 2 * TERMS.heartbeatMs))
  claim(
    'who waits does not preempt a holder that slept beside it',
    !granted && !holder.hasSaid('lost')
  )
  waiting.abort()
  await wait
}

await end()
