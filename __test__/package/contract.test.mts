import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'

import test from 'ava'

test('the contract that is checked in other runtimes holds in this one', async (t) => {
  const main = fileURLToPath(new URL('../contract/main.mjs', import.meta.url))
  const child = spawn(process.execPath, [main], { stdio: ['ignore', 'pipe', 'inherit'] })
  let printed = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => (printed += text))
  const [code] = (await once(child, 'close')) as [number]
  t.is(code, 0, printed)
  t.regex(printed, /^ok 30 - /m)
})
