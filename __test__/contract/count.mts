import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

import { withLock, type Root } from 'rootlock'

/** Adds to the number in a directory; two processes that do it at once lose a step. */
export async function count(root: Root | string, directory: string, times: number): Promise<void> {
  const file = join(directory, 'counter')
  for (let step = 0; step < times; step++) {
    await withLock(root, async () => {
      const value = Number(readFileSync(file, 'utf8'))
      await new Promise((resolve) => setImmediate(resolve))
      writeFileSync(file, String(value + 1))
    })
  }
}
