import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { withLock } from 'rootlock'

const root = mkdtempSync(join(tmpdir(), 'rootlock-'))
withLock(root, () => console.log('locked')).finally(() => rmSync(root, { recursive: true }))
