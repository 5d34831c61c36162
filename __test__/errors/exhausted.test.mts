import { readdir } from 'node:fs/promises'
import { join } from 'node:path'

import test from 'ava'

import { child } from '../helpers/child.mjs'
import { hold } from '../helpers/locks.mjs'
import { needing, tool, unix } from '../helpers/needing.mjs'
import { temporaryRoot } from '../helpers/temporary-root.mjs'

const limited = needing(test, unix, tool('sh', '-c', 'ulimit -n 64'))

const withDescriptors = (count: number) => ['sh', '-c', `ulimit -n ${count}; exec "$@"`, 'sh']

limited(
  'too many open files are an error at once, and locking works again once they are closed',
  async (t) => {
    const root = await temporaryRoot(t)
    const greedy = child(t, 'greedy', { root }, withDescriptors(64))
    const failed = await greedy.says('failed')
    t.is(failed.code, 'ERR_LOCK_UNSUCCESSFUL')
    t.regex(failed.message, /^could not lock store: EMFILE: too many open files, open '/)
    t.like(failed.cause, { code: 'EMFILE', syscall: 'open' })
    greedy.tell('close')
    await greedy.says('held')
    greedy.kill()
    await greedy.ends()
    await hold(t, root, { wait: false })
  }
)

limited(
  'with any number of descriptors left, a lock is acquired completely or not at all',
  async (t) => {
    const root = await temporaryRoot(t)
    const greedy = child(t, 'greedy', { root, spare: 8 }, withDescriptors(64))
    for (let left = 0; left < 8; left++) {
      const { code } = await greedy.says('tried')
      t.true(code === 'EMFILE' || code === 'none', `${left} left: ${code}`)
      await hold(t, root, { wait: false }).then((unlock) => unlock())
      greedy.tell('again')
    }
    t.true((await readdir(root)).every((name) => join('.', name).startsWith('.lock')))
  }
)
