import { fileURLToPath } from 'node:url'

import { program } from '../helpers/child.mjs'
import { servers } from '../helpers/server-root.mjs'

const { onPostgres } = servers()

onPostgres('the bank on PostgreSQL loses no cent when a teller is killed', async (t, server) => {
  const script = fileURLToPath(new URL('../../examples/bank-on-postgres.mjs', import.meta.url))
  const env = { ...process.env, DATABASE_URL: server.url() }
  const bank = program(t, process.execPath, [script], 'pipe', { env })
  const { code } = await bank.ends()
  t.is(code, 0, bank.printed)
  t.is(bank.printed, 'SIGKILL 0 0\ncents: 300\n')
})
