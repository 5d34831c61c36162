import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'

import type * as Binding from '../binding'
import type { Attempt } from './no-binding'
import { target } from './platform'

/** The folder of this file; of the program in a bundle of ES modules, which has no `__dirname`. */
export const here = typeof __dirname === 'string' ? __dirname : dirname(process.argv[1] ?? '.')

/** The binding in a file beside this one: in a checkout, or copied beside a bundle or an executable. */
export function beside(name: string): Attempt {
  const what = join(here, `${name}.${target}.node`)
  try {
    // Throws where Node's permission model forbids to look; the package may be allowed all the same.
    if (!existsSync(what)) return { what }
    const module = { exports: {} as typeof Binding }
    process.dlopen(module, what)
    return { what, binding: module.exports }
  } catch (error) {
    return { what, error }
  }
}
