import { fileURLToPath } from 'node:url'

import { program } from '../helpers/child.mjs'
import { DEADLINE } from '../helpers/eventually.mjs'
import { onPostgres, sharedServer } from '../helpers/server-root.mjs'

const server = sharedServer()

onPostgres('the contract of a directory holds on PostgreSQL', async (t) => {
  const main = fileURLToPath(new URL('../contract/main.mjs', import.meta.url))
  const env = { ...process.env, ROOTLOCK_CONTRACT_SERVER: server().url() }
  const contract = program(t, process.execPath, [main], 'pipe', { env })
  const { code } = await contract.ends(4 * DEADLINE)
  t.is(code, 0, contract.printed)
  t.regex(contract.printed, /^ok 25 - /m)
})
