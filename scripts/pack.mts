// `node .build/scripts/pack.mjs`: packs what would be published, as tarballs in .build/packages.
//
// The root package names the platforms' packages as optional dependencies only there: in the committed
// package.json they would keep `npm ci` from working between a change of version and its publication,
// and before the first one.

import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync
} from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

import { npm } from './npm.mjs'

export interface Manifest {
  name: string
  version: string
  main: string
  [key: string]: unknown
}

/** Of the checkout; this runs in .build/scripts. */
export const checkout = fileURLToPath(new URL('../..', import.meta.url))

/** A package, ready to be published. */
export interface Packed {
  name: string
  version: string
  tarball: string
}

/** Fields that only a checkout needs. */
const OURS = new Set(['scripts', 'devDependencies', 'overrides', 'ava', 'napi'])

export function manifest(folder: string): Manifest {
  return JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as Manifest
}

/**
 * Packs the platforms' packages with the binaries in `binaries`, the root package, which names them, and the one that
 * stands in for proper-lockfile, which names that.
 */
export async function pack(binaries: string, into: string): Promise<Packed[]> {
  const root = manifest(checkout)
  const platforms = readdirSync(join(checkout, 'npm')).map((name) => join(checkout, 'npm', name))
  const missing = platforms
    .map((at) => manifest(at).main)
    .filter((main) => !existsSync(join(binaries, main)))
  if (missing.length > 0) {
    throw new Error(`not all of a release is in ${binaries}: ${missing.join(', ')} is missing`)
  }
  rmSync(into, { recursive: true, force: true })
  const packages: Packed[] = []
  for (const at of platforms) {
    const described = manifest(at)
    const { name, version, main } = described
    if (version !== root.version) {
      throw new Error(
        `${name} is of version ${version}, not ${root.version}: npx napi create-npm-dirs`
      )
    }
    const staged = stage(at, ['README.md'], described, join(into, name))
    copyFileSync(join(checkout, 'LICENSE'), join(staged, 'LICENSE'))
    copyFileSync(join(binaries, main), join(staged, main))
    packages.push(await packed(staged, into))
  }
  const published = Object.fromEntries(Object.entries(root).filter(([key]) => !OURS.has(key)))
  const optionalDependencies = Object.fromEntries(
    platforms.map((at) => [manifest(at).name, root.version])
  )
  const staged = stage(
    checkout,
    await listed(checkout),
    { ...published, optionalDependencies },
    join(into, root.name)
  )
  packages.push(await packed(staged, into))
  packages.push(await packed(stageDropIn(root, into), into))
  return packages
}

/** Its version and that of rootlock are in no file but the root's. */
function stageDropIn({ name, version }: Manifest, into: string): string {
  const at = join(checkout, 'packages', 'proper-lockfile')
  const described = { ...manifest(at), version, dependencies: { [name]: version } }
  const files = ['index.js', 'index.d.ts', 'README.md']
  const staged = stage(at, files, described, join(into, described.name))
  copyFileSync(join(checkout, 'LICENSE'), join(staged, 'LICENSE'))
  return staged
}

/** What npm would pack, except the manifest. */
export async function listed(folder: string): Promise<string[]> {
  const said = await npm(['pack', '--dry-run', '--json', '--ignore-scripts'], folder)
  const [{ files }] = JSON.parse(said) as [{ files: { path: string }[] }]
  return files.map(({ path }) => path).filter((path) => path !== 'package.json')
}

function stage(from: string, files: string[], described: object, to: string): string {
  for (const file of files) {
    mkdirSync(dirname(join(to, file)), { recursive: true })
    copyFileSync(join(from, file), join(to, file))
  }
  writeFileSync(join(to, 'package.json'), `${JSON.stringify(described, null, 2)}\n`)
  return to
}

async function packed(folder: string, into: string): Promise<Packed> {
  const said = await npm(['pack', '--json', '--pack-destination', into], folder)
  const [{ filename }] = JSON.parse(said) as [{ filename: string }]
  const { name, version } = manifest(folder)
  return { name, version, tarball: join(into, filename) }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const packages = await pack(checkout, join(checkout, '.build', 'packages'))
  for (const { tarball } of packages) console.log(tarball)
}
