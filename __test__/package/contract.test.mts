import { fileURLToPath } from 'node:url'

import test from 'ava'

import { program } from '../helpers/child.mjs'
import { DEADLINE } from '../helpers/eventually.mjs'

test('the contract of all runtimes holds in this one', async (t) => {
  const main = fileURLToPath(new URL('../contract/main.mjs', import.meta.url))
  const contract = program(t, process.execPath, [main])
  const { code } = await contract.ends(4 * DEADLINE)
  t.is(code, 0, contract.printed)
  t.regex(contract.printed, /^ok 30 - /m)
})
