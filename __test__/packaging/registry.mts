import { once } from 'node:events'
import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'

import { atEnd, require, temporary } from './tools.mjs'

/** An empty registry on this machine, without an upstream; stopped after the tests. */
export async function registry(): Promise<string> {
  const { runServer } = require('verdaccio') as { runServer(config: object): Promise<Server> }
  const folder = await temporary()
  const server = await runServer({
    self_path: join(folder, 'config.yaml'),
    storage: join(folder, 'storage'),
    uplinks: {},
    packages: { '**': { access: '$all', publish: '$all' } },
    security: {},
    web: { enable: false },
    middlewares: {},
    max_body_size: '50mb',
    log: { type: 'stdout', format: 'pretty', level: 'fatal' }
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  atEnd(() => {
    server.close()
    server.closeAllConnections()
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/`
}
