// Reports when this process was not run for long: without that, beats that stopped for no reason
// would look like a machine that was busy with others.

import { parentPort, workerData } from 'node:worker_threads'

import type { Birth } from './life.mjs'
import { Log, now } from './log.mjs'

const { who, logs, terms } = workerData as Birth
const log = new Log(logs, who, 'witness')
const nobody = new Int32Array(new SharedArrayBuffer(4))
const step = terms.heartbeatMs / 5

let last = now()
parentPort!.postMessage('looks')
for (;;) {
  Atomics.wait(nobody, 0, 0, step)
  const awake = now()
  if (awake - last > 2 * step * 1_000) log.say({ what: 'gap', from: last }, awake)
  last = awake
}
