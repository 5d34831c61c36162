import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import type { ExecutionContext } from 'ava'

/** A directory of the test's own, removed when the test ends. */
export async function temporaryRoot(t: ExecutionContext): Promise<string> {
  const root = await mkdtemp(join(tmpdir(), 'rootlock-'))
  t.teardown(() => rm(root, { recursive: true, force: true, maxRetries: 3 }))
  return root
}
