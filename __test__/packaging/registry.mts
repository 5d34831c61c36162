import { once } from 'node:events'
import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'

import { atEnd, require, temporary } from './tools.mjs'

/**
 * An empty registry on this machine; stopped after the tests.
 *
 * @param upstream the one that it asks for packages that are not ours
 */
export async function registry(upstream?: string): Promise<string> {
  const { runServer } = require('verdaccio') as { runServer(config: object): Promise<Server> }
  const folder = await temporary()
  const ours = { access: '$all', publish: '$all' }
  const server = await runServer({
    self_path: join(folder, 'config.yaml'),
    storage: join(folder, 'storage'),
    uplinks: upstream === undefined ? {} : { upstream: { url: upstream } },
    packages: {
      rootlock: ours,
      '@rootlock/*': ours,
      '**': upstream === undefined ? ours : { access: '$all', proxy: 'upstream' }
    },
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

/** What yarn berry has to know of it, in files. */
export function yarnSettings(url: string, nodeLinker: string): Record<string, string | object> {
  return {
    'yarn.lock': '',
    '.yarnrc.yml': {
      nodeLinker,
      npmRegistryServer: url,
      unsafeHttpWhitelist: ['127.0.0.1'],
      enableScripts: false,
      enableGlobalCache: false,
      enableImmutableInstalls: false,
      enableTelemetry: false,
      // It was published a moment ago.
      npmMinimalAgeGate: 0
    }
  }
}
