// What would be published, published to a registry on this machine.

import { copyFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

import { checkout, manifest, pack, platforms, type Packed } from '../../scripts/pack.mjs'
import { publish } from '../../scripts/publish.mjs'
import { registry } from './registry.mjs'
import { binary, remoteBinary, temporary } from './tools.mjs'

/** @param upstream the registry that has all other packages; without one, there are none */
export async function published(upstream?: string): Promise<{ url: string; packages: Packed[] }> {
  const binaries = await temporary()
  for (const platform of platforms) {
    const { main } = manifest(platform)
    // The others are only there to be left out.
    await ([binary, remoteBinary].includes(main)
      ? copyFile(join(checkout, main), join(binaries, main))
      : writeFile(join(binaries, main), 'not for this machine'))
  }
  const packages = await pack(binaries, join(await temporary(), 'packages'))
  const url = await registry(upstream)
  // npm does not publish without a token, though this registry asks for none.
  const settings = join(await temporary(), '.npmrc')
  await writeFile(settings, `${url.replace('http:', '')}:_authToken=none\n`)
  process.env['npm_config_userconfig'] = settings
  await publish(packages, ['--registry', url], [])
  return { url, packages }
}
