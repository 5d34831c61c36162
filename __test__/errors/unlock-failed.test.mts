import { join } from 'node:path'

import test from 'ava'

import { child } from '../helpers/child.mjs'
import { hold } from '../helpers/locks.mjs'
import { linux, needing } from '../helpers/needing.mjs'
import { temporaryRoot } from '../helpers/temporary-root.mjs'

needing(test, linux)('an unlock that the system refuses says so, to every caller', async (t) => {
  const root = await temporaryRoot(t)
  const vandal = child(t, 'vandal', { root })
  const error = await vandal.says('failed')
  t.is(error.name, 'LockError')
  t.is(error.code, 'ERR_UNLOCK_UNSUCCESSFUL')
  t.regex(error.message, /^could not unlock store: EBADF: /)
  t.is(error.path, join(root, '.lock'))
  t.like(error.cause, { code: 'EBADF', path: join(root, '.lock') })
  t.true(error.cause.errno < 0)
  t.truthy(error.cause.syscall)
  t.is((await vandal.says('again')).kind, 'again')
  await hold(t, root, { wait: false })
})
