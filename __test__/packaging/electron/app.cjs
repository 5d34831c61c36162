// An app of Electron's, as `electron.mts` bundles and starts it: does what ROOTLOCK_TASK says, and tells what happens on
// its standard output, a line of JSON each.

const { app, BrowserWindow } = require('electron')
const { tryLock, inspect } = require('rootlock')

const { role, root, options, page } = JSON.parse(process.env.ROOTLOCK_TASK)

const say = (what, more = {}) => process.stdout.write(`${JSON.stringify({ what, ...more })}\n`)
const plain = ({ code, reason, message, holder }) => ({ code, reason, message, holder })

async function lock(more) {
  const onWait = (holder) => say('waiting', { holder })
  const unlock = await tryLock(root, { onWait, ...options, ...more })
  unlock.signal.addEventListener('abort', () => say('lost', plain(unlock.signal.reason)))
  say('held', { token: unlock.token, type: process.type, versions: process.versions })
  return unlock
}

/** Ends what `hold` began. */
const told = new Promise((resolve) => process.stdin.once('data', resolve))

const ROLES = {
  /** Holds until it is told to release. */
  async main() {
    const unlock = await lock()
    const { state, holder } = await inspect(root)
    say('inspected', { state, pid: holder.pid })
    await told
    await unlock()
    say('unlocked')
  },
  /** As an app that runs once. */
  async instance() {
    try {
      await lock({ wait: false })
    } catch (error) {
      say('refused', plain(error))
      return
    }
    await told
  },
  /** Quits with a lock held, another one waited for and no word to either. */
  async quits() {
    await lock()
    tryLock(root).then(
      () => say('granted'),
      () => {}
    )
    await told
  },
  /** Locks in a window, until the window is closed. */
  async window() {
    const window = new BrowserWindow({
      show: false,
      webPreferences: { nodeIntegration: true, contextIsolation: false }
    })
    // Electron itself warns there too.
    const ours = (message) => !/^(\(electron\)|%cElectron)/.test(message)
    window.webContents.on('console-message', (_, __, message) => {
      if (ours(message)) say('window', { message })
    })
    await window.loadFile(page)
    await told
    window.destroy()
    say('closed')
    await new Promise((resolve) => process.stdin.once('data', resolve))
  }
}

app.on('window-all-closed', () => {})
app.on('ready', () => {
  ROLES[role]().then(
    () => app.quit(),
    (error) => {
      say('failed', plain(error))
      app.exit(1)
    }
  )
})
