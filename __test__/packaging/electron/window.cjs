// A window with Node in it: locks, and keeps the lock.

const { tryLock } = require('rootlock')

const { root } = JSON.parse(process.env.ROOTLOCK_TASK)

tryLock(root).then(
  (unlock) => {
    window.unlock = unlock
    console.log(`held ${unlock.token} ${process.type}`)
  },
  (error) => console.log(String(error))
)
