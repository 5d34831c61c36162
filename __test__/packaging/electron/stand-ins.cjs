// What Node 12 has not, and every Electron since 15 has: enough of it for the library.

const { EventEmitter } = require('events')

class AbortSignal {
  #events = new EventEmitter().setMaxListeners(0)
  aborted = false
  reason = undefined

  addEventListener(_, listener) {
    this.#events.on('abort', listener)
  }

  removeEventListener(_, listener) {
    this.#events.removeListener('abort', listener)
  }

  throwIfAborted() {
    if (this.aborted) throw this.reason
  }

  abort(reason) {
    if (this.aborted) return
    this.aborted = true
    this.reason = reason
    this.#events.emit('abort', { type: 'abort', target: this })
  }
}

class AbortController {
  signal = new AbortSignal()

  abort(reason = new Error('aborted')) {
    this.signal.abort(reason)
  }
}

if (globalThis.AbortController === undefined) {
  Object.assign(globalThis, { AbortController, AbortSignal })
}

Object.hasOwn ??= (object, name) => Object.prototype.hasOwnProperty.call(object, name)
