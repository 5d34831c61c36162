// The tools that the tests of this folder run. Everything happens in temporary folders.

import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, readdir, realpath, rm, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { after } from 'node:test'
import { promisify } from 'node:util'

import { checkout } from '../../scripts/pack.mjs'

/** The tools are installed here, not in the checkout. */
export const tools = join(checkout, '__test__', 'packaging')

export const require = createRequire(join(tools, 'package.json'))

/** The path of a tool's program. */
export function program(name: string, bin = name): string {
  const manifest = join(tools, 'node_modules', name, 'package.json')
  const { bin: bins } = require(manifest) as { bin: string | Record<string, string> }
  return join(dirname(manifest), typeof bins === 'string' ? bins : bins[bin]!)
}

/** Other systems' binaries may lie beside this system's. */
const ours = new RegExp(`^rootlock\\.${process.platform}-${process.arch}[-.].*node$`)

/** The binary that was built here for this system, and its platform. */
export const binary = (await readdir(checkout)).toSorted().find((name) => ours.test(name))!
export const target = binary.split('.')[1]!

/** The one for servers. */
export const remoteBinary = `rootlock-remote.${target}.node`

const endings: (() => unknown)[] = []

/** Runs after all tests of this process. */
export function atEnd(what: () => unknown): void {
  endings.push(what)
}

after(async () => {
  for (const end of endings) await end()
})

export async function temporary(): Promise<string> {
  const folder = await realpath(await mkdtemp(join(tmpdir(), 'rootlock-packaging-')))
  atEnd(() => rm(folder, { recursive: true, force: true, maxRetries: 3 }))
  return folder
}

export async function write(folder: string, files: Record<string, string | object>): Promise<void> {
  await mkdir(folder, { recursive: true })
  for (const [name, content] of Object.entries(files)) {
    const text = typeof content === 'string' ? content : JSON.stringify(content, null, 2)
    await writeFile(join(folder, name), text)
  }
}

const execute = promisify(execFile)

/** Runs a program without this machine's npm settings; a failure shows its output. */
export async function run(
  cwd: string,
  file: string,
  args: string[],
  environment: Record<string, string> = {}
): Promise<string> {
  const inherited = Object.entries(process.env).filter(([name]) => !/^(npm|yarn|pnpm)_/i.test(name))
  const env = {
    ...Object.fromEntries(inherited),
    HOME: cwd,
    USERPROFILE: cwd,
    npm_config_update_notifier: 'false',
    ...environment
  }
  try {
    const { stdout } = await execute(file, args, { cwd, env, maxBuffer: 2 ** 26 })
    return stdout
  } catch (error) {
    const { message, stdout } = error as { message: string; stdout: string }
    throw new Error(`${message}\n${stdout}`, { cause: error })
  }
}

/** The same for a program in JavaScript. */
export function node(
  cwd: string,
  args: string[],
  environment?: Record<string, string>
): Promise<string> {
  return run(cwd, process.execPath, args, environment)
}
