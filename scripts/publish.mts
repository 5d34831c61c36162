// `node .build/scripts/publish.mjs`: packs everything and publishes it; with `--dry-run` it does everything but publish.
// Run again after a failure, it goes on with what is missing.

import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { fileURLToPath } from 'node:url'

import { checkGlibc } from './glibc.mjs'
import { npm } from './npm.mjs'
import { checkout, manifest, pack, type Packed } from './pack.mjs'

/**
 * Publishes packages in order: each after those that it names, so that anyone who sees it can install all of it.
 *
 * @param registry options that name it, if it is not npm's own
 * @param options further ones of `npm publish`
 */
export async function publish(
  packages: Packed[],
  registry: string[],
  options: string[]
): Promise<void> {
  for (const { name, version, tarball } of packages) {
    if (await isPublished(name, version, registry)) {
      console.log(`${name}@${version} is published already`)
      continue
    }
    // An install without a version must not get a prerelease.
    const tag = version.includes('-') ? 'next' : 'latest'
    await npm(
      ['publish', tarball, '--access', 'public', '--tag', tag, ...registry, ...options],
      checkout
    )
    console.log(`${name}@${version} ${options.includes('--dry-run') ? 'would be ' : ''}published`)
  }
}

async function isPublished(name: string, version: string, options: string[]): Promise<boolean> {
  try {
    const found = await npm(['view', `${name}@${version}`, 'version', ...options], checkout)
    return found.trim() !== ''
  } catch (error) {
    if (String(error).includes('E404')) return false
    throw error
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { values } = parseArgs({
    options: {
      'dry-run': { type: 'boolean', default: false },
      provenance: { type: 'boolean', default: false },
      release: { type: 'string' }
    }
  })
  const { version } = manifest(checkout)
  if (values.release !== undefined && values.release !== `v${version}`) {
    throw new Error(`the tag is ${values.release}, but the packages are of version ${version}`)
  }
  for (const file of readdirSync(checkout).filter((name) => /linux-.*-gnu.*\.node$/.test(name))) {
    checkGlibc(join(checkout, file))
  }
  const packages = await pack(checkout, join(checkout, '.build', 'packages'))
  await publish(
    packages,
    [],
    [...(values['dry-run'] ? ['--dry-run'] : []), ...(values.provenance ? ['--provenance'] : [])]
  )
}
