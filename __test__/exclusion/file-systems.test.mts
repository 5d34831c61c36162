import { join } from 'node:path'

import test from 'ava'

import { eventually } from '../helpers/eventually.mjs'
import { QUICK } from '../helpers/locks.mjs'
import { FILE_SYSTEMS, mounted, mounting } from '../helpers/mounts.mjs'
import { needing } from '../helpers/needing.mjs'

const DOUBT = 'locks may not be seen by other mounts or machines'

for (const system of FILE_SYSTEMS) {
  const on = needing(test.serial, ...mounting, ...system.missing)
  const { name, local } = system

  on(`${name}: a lock keeps out, is shared by readers, and ends with its process`, async (t) => {
    const { inside } = await mounted(t, system)
    const reader = inside('holder', { shared: true })
    const { token } = await reader.says('held')
    const second = inside('holder', { shared: true })
    await second.says('held')
    const writer = inside('holder')
    await writer.says('waiting')
    for (const other of [reader, second]) {
      t.false(writer.hasSaid('held'))
      other.tell('unlock')
      t.false((await other.says('unlocked')).lost)
    }
    const held = await writer.says('held')
    t.true(held.token > token)
    const next = inside('holder')
    const { holder } = await next.says('waiting')
    t.is(holder.pid, writer.pid)
    writer.kill()
    t.true((await next.says('held')).token > held.token)
  })

  on(`${name}: a frozen holder is preempted, and told when it wakes`, async (t) => {
    const { inside } = await mounted(t, system)
    const holder = inside('holder', { options: QUICK })
    const { token } = await holder.says('held')
    await holder.freeze()
    const heir = inside('holder', { options: QUICK })
    t.true((await heir.says('held')).token > token)
    holder.thaw()
    t.is((await holder.says('lost')).reason, 'hijacked')
    t.false(heir.hasSaid('lost'))
  })

  on(`${name}: every beat can be seen, and who beats is not preempted`, async (t) => {
    const { root, inside, shell } = await mounted(t, system)
    const terms = { heartbeatMs: 100, staleMs: 20_000 }
    const holder = inside('holder', { options: terms })
    await holder.says('held')
    const waiter = inside('holder', { options: terms })
    await waiter.says('waiting')
    for (let beat = 0; beat < 3; beat++) {
      const seen = shell(`stat -c %y ${root}/.lock`)
      await eventually('it beats', () => shell(`stat -c %y ${root}/.lock`) !== seen)
    }
    t.false(waiter.hasSaid('held') || holder.hasSaid('lost'))
    holder.tell('unlock')
    await waiter.says('held')
  })

  on(`${name}: no step of any process is lost`, async (t) => {
    const { root, inside, shell } = await mounted(t, system)
    shell(`printf 0 > ${root}/counter`)
    const counters = [1, 2, 3].map(() => inside('counter', { times: 20, lines: 2 }))
    await Promise.all(counters.map((counter) => counter.says('ready')))
    for (const counter of counters) counter.tell('start')
    await Promise.all(counters.map((counter) => counter.says('done')))
    t.is(shell(`cat ${root}/counter`), '120')
  })

  const asked = local ? 'is answered within the call' : 'never blocks the event loop'
  on(`${name}: a call for a free lock ${asked}`, async (t) => {
    const { inside } = await mounted(t, system)
    const { atOnce, warnings } = await inside('settled', { calls: 3 }).says('asked')
    t.is(atOnce, local)
    t.deepEqual(warnings, local ? [] : [DOUBT])
  })
}

const bindfs = FILE_SYSTEMS.find(({ name }) => name === 'bindfs')!

needing(
  test.serial,
  ...mounting,
  ...bindfs.missing
)('two mounts of one directory may both have the lock, and both are warned', async (t) => {
  const twice = `${bindfs.mount}; mkdir "$folder/again"; bindfs "$folder/from" "$folder/again"`
  const { folder, inside } = await mounted(t, { ...bindfs, mount: twice })
  const holders = ['root', 'again'].map((name) => inside('holder', { root: join(folder, name) }))
  for (const holder of holders) {
    await holder.says('held')
    t.is((await holder.says('log')).message, DOUBT)
  }
})
