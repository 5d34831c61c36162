import { execFile } from 'node:child_process'
import { promisify } from 'node:util'

const execute = promisify(execFile)

/** Runs npm (the one that runs this script, if any); throws unless it succeeds. Resolves to its output. */
export async function npm(args: string[], cwd: string): Promise<string> {
  const cli = process.env['npm_execpath']
  const [file, before] = cli ? [process.execPath, [cli]] : ['npm', []]
  try {
    const { stdout } = await execute(file, [...before, ...args], { cwd, maxBuffer: 2 ** 26 })
    return stdout
  } catch (error) {
    const { stdout, stderr } = error as { stdout: string; stderr: string }
    throw new Error(`npm ${args.join(' ')}\n${stderr}${stdout}`, { cause: error })
  }
}
