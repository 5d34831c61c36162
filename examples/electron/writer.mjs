// A utility process: writes to a directory that other programs write to as well.

import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setInterval } from 'node:timers/promises'

import { tryLock } from 'rootlock'

const outbox = process.argv[2]

for await (const _ of setInterval(1_000)) {
  const unlock = await tryLock(outbox)
  try {
    // Tokens only rise, so names are in the order of the grants and never used twice.
    writeFileSync(join(outbox, `${unlock.token}.json`), '{}')
    process.parentPort.postMessage(unlock.token)
  } finally {
    await unlock()
  }
}
