import { spawnSync } from 'node:child_process'

/** Installs those of Debian's packages that are missing, and says so. */
export function debian(...packages: string[]): void {
  const missing = packages.filter((name) => !installed(name))
  if (missing.length === 0) return
  console.log(`installing from Debian: ${missing.join(' ')}`)
  apt('update')
  apt('install', '-y', '--no-install-recommends', ...missing)
}

function installed(name: string): boolean {
  const { stdout } = spawnSync('dpkg-query', ['-W', '-f', '${Status}', name], { encoding: 'utf8' })
  return stdout === 'install ok installed'
}

function apt(...args: string[]): void {
  const { status, error } = spawnSync(
    'apt-get',
    ['-qq', '-o', 'DPkg::Lock::Timeout=600', ...args],
    {
      stdio: ['ignore', 'ignore', 'inherit'],
      env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }
    }
  )
  if (status !== 0) {
    throw new Error(
      `apt-get ${args[0]}: ${error?.message ?? `exit code ${status}`} (this script needs Debian, as root)`
    )
  }
}
