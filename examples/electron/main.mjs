// The app runs once for each data directory. Electron's own `requestSingleInstanceLock` is per user;
// a lock in the directory also excludes the same app of another user, on the same shared disk.

import { mkdirSync } from 'node:fs'
import { join } from 'node:path'

import { app, BrowserWindow, dialog, utilityProcess } from 'electron'
import { tryLock } from 'rootlock'

const data = join(app.getPath('userData'), 'store')
const outbox = join(app.getPath('userData'), 'outbox')
for (const folder of [data, outbox]) mkdirSync(folder, { recursive: true })

/** The lock for as long as the app runs; it is never released explicitly: the end of the process does that. */
async function onlyInstance() {
  try {
    return await tryLock(data, { wait: false, logger: console })
  } catch (error) {
    if (error.code !== 'ERR_LOCK_UNSUCCESSFUL') throw error
    // "store is locked by pid 4242 (Example) on host …", or why it can't be locked at all.
    dialog.showErrorBox('Example', error.message)
    app.exit(1)
    return undefined
  }
}

const lock = await onlyInstance()
if (lock) {
  // Another process took the lock over, because this one had stood still for too long: stop writing.
  lock.signal.addEventListener('abort', () => {
    dialog.showErrorBox('Example', lock.signal.reason.message)
    app.exit(1)
  })
  await app.whenReady()
  // A separate process: it may be busy or crash, and its lock ends with it.
  const writer = utilityProcess.fork(join(import.meta.dirname, 'writer.mjs'), [outbox])
  const window = new BrowserWindow()
  writer.on('message', (token) => window.setTitle(`Example: entry ${token}`))
  await window.loadURL('data:text/html,<h1>One of me</h1>')
}

app.on('window-all-closed', () => app.quit())
