// `rootlock doctor URL`: checks whether locks work reliably on a server, by asking it and by trying.

import { release } from 'node:os'

import { openRoot, type Root } from '../index'
import { diagnose } from '../src/diagnosis'
import { version } from '../src/version'
import type { Target } from './arguments'
import { exits } from './exits'
import { locking } from './failure'
import {
  conclude,
  fail,
  lineOf,
  lockState,
  ok,
  uninspected,
  type Finding,
  type Verdict
} from './finding'
import { trial } from './trial'

/** The lock that is tried: always the same, because a server keeps a row for every name. */
const TRIAL = '.rootlock-doctor'

export async function serverDoctor(target: Target & { server: string }): Promise<number> {
  const verdicts = new Set<Verdict>()
  for await (const finding of examine(target)) {
    verdicts.add(finding.verdict)
    process.stdout.write(lineOf(finding))
  }
  return conclude(verdicts, 'This root', 'on this server')
}

async function* examine(target: Target & { server: string }): AsyncGenerator<Finding> {
  const { node } = process.versions
  yield ok(`rootlock ${version}, Node ${node}, ${process.platform} ${process.arch} ${release()}`)
  let root: Root
  try {
    root = await openRoot(target.server)
  } catch (error) {
    return yield refusal(error, target)
  }
  try {
    yield ok(`root ${root.path}`)
    yield* state(target)
    const subject = { where: target.server, root, fileName: TRIAL }
    yield* trial(subject, new AbortController().signal)
  } finally {
    await root.close()
  }
}

/** What is wrong with the server; that there is no binding, or wrong usage, ends the command. */
function refusal(error: unknown, target: Target): Finding {
  if ((error as Error).name !== 'LockError') throw locking(error, target, exits.held)
  return fail((error as Error).message, 'Nothing else was tried: it has to be opened first')
}

async function* state({ server, directory, fileName, words }: Target): AsyncGenerator<Finding> {
  try {
    const seen = await diagnose(server ?? directory, fileName)
    yield ok([seen.fileSystem, seen.mountOptions].filter(Boolean).join(', '))
    yield lockState(seen, `The server ends its session. See: rootlock status ${words}`)
  } catch (error) {
    yield uninspected(error)
  }
}
