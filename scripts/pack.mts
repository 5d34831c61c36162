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

/** The packages that have a package for each platform, and where those are. */
const NATIVE = { root: 'npm', remote: join('packages', 'remote', 'npm') }

function platformsOf(of: keyof typeof NATIVE): string[] {
  const folder = join(checkout, NATIVE[of])
  return readdirSync(folder).map((name) => join(folder, name))
}

/** The folders of all platforms' packages. */
export const platforms = [...platformsOf('root'), ...platformsOf('remote')]

const namesOf = (of: keyof typeof NATIVE, version: string) =>
  Object.fromEntries(platformsOf(of).map((at) => [manifest(at).name, version]))

/**
 * Packs the platforms' packages with the binaries in `binaries`, the packages that name them (the one for servers, which
 * is an optional peer of the root package, and that), and the one that stands in for proper-lockfile, which names the root
 * package.
 */
export async function pack(binaries: string, into: string): Promise<Packed[]> {
  const root = manifest(checkout)
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
        `${name} is of version ${version}, not ${root.version}: node .build/scripts/version.mjs`
      )
    }
    const staged = stage(at, ['README.md'], described, join(into, name))
    copyFileSync(join(checkout, 'LICENSE'), join(staged, 'LICENSE'))
    copyFileSync(join(binaries, main), join(staged, main))
    packages.push(await packed(staged, into))
  }
  const remote = manifest(join(checkout, 'packages', 'remote'))
  packages.push(await packed(await stageNative('remote', remote, root.version, into), into))
  const peers = {
    peerDependencies: { [remote.name]: root.version },
    peerDependenciesMeta: { [remote.name]: { optional: true } }
  }
  const named = { ...root, ...peers }
  packages.push(await packed(await stageNative('root', named, root.version, into), into))
  packages.push(await packed(stageDropIn(root, into), into))
  return packages
}

/** A package that names those of its platforms. */
async function stageNative(
  of: keyof typeof NATIVE,
  described: Manifest,
  version: string,
  into: string
): Promise<string> {
  const at = dirname(join(checkout, NATIVE[of]))
  const published = Object.fromEntries(Object.entries(described).filter(([key]) => !OURS.has(key)))
  const optionalDependencies = namesOf(of, version)
  const to = join(into, described.name)
  const staged = stage(at, await listed(at), { ...published, version, optionalDependencies }, to)
  copyFileSync(join(checkout, 'LICENSE'), join(staged, 'LICENSE'))
  return staged
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
