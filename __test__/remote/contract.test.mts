import { fileURLToPath } from 'node:url'

import { program } from '../helpers/child.mjs'
import { DEADLINE } from '../helpers/eventually.mjs'
import { servers } from '../helpers/server-root.mjs'

const { onServers } = servers()

onServers('the contract of a directory holds', async (t, server) => {
  const main = fileURLToPath(new URL('../contract/main.mjs', import.meta.url))
  const env = { ...process.env, ROOTLOCK_CONTRACT_SERVER: server.url('ROOT') }
  const contract = program(t, process.execPath, [main], 'pipe', { env })
  const { code } = await contract.ends(4 * DEADLINE)
  t.is(code, 0, contract.printed)
  t.regex(contract.printed, /^ok 25 - /m)
})
