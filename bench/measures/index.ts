import type { Measure } from '../measure.js'
import { abort } from './abort.js'
import { inOneProcess } from './callers.js'
import { crash } from './crash.js'
import { free } from './free.js'
import { handOver } from './hand-over.js'
import { held } from './held.js'
import { hold } from './hold.js'
import { importing } from './import.js'
import { lostUpdates } from './lost-updates.js'
import { byProcesses } from './processes.js'
import { writerBesideReaders } from './readers.js'
import { waiting } from './waiting.js'

/** In the order of the report. */
export const measures: readonly Measure[] = [
  lostUpdates,
  free,
  ...byProcesses,
  hold,
  writerBesideReaders,
  handOver,
  inOneProcess,
  waiting,
  crash,
  abort,
  held,
  importing
]
