// An authority of a test's own, with certificates for a server called localhost and for a client.

import { execFile } from 'node:child_process'
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'

import type { ExecutionContext } from 'ava'

import { onPath, type Missing } from './needing.mjs'

const execute = promisify(execFile)

/** What is missing to make certificates, if something is. */
export const openssl: Missing = onPath('openssl')

const KINDS = {
  server: 'subjectAltName=DNS:localhost\nextendedKeyUsage=serverAuth,clientAuth\n',
  client: 'extendedKeyUsage=clientAuth\n'
}

/** Where the files are: `ca.pem`, and `server` and `client` with `.pem` and `.key`. */
export async function certificates(t: ExecutionContext): Promise<(name: string) => string> {
  const folder = await mkdtemp(join(tmpdir(), 'rl-tls-'))
  t.teardown(() => rm(folder, { recursive: true, force: true }))
  // A server may run as another user.
  await chmod(folder, 0o755)
  const at = (name: string) => join(folder, name)
  const run = (...args: string[]) => execute('openssl', args, { cwd: folder })
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes']
  await run('req', '-x509', ...key, '-keyout', 'ca.key', '-out', 'ca.pem', '-subj', '/CN=ca')
  for (const [name, extensions] of Object.entries(KINDS)) {
    const subject = ['-subj', `/CN=${name === 'client' ? 'app' : name}`]
    await run('req', ...key, '-keyout', `${name}.key`, '-out', `${name}.csr`, ...subject)
    await writeFile(at('extensions'), extensions)
    const ca = ['-CA', 'ca.pem', '-CAkey', 'ca.key', '-CAcreateserial', '-extfile', 'extensions']
    await run('x509', '-req', '-in', `${name}.csr`, '-out', `${name}.pem`, ...ca)
  }
  return at
}
