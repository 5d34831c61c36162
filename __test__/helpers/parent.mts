// The child's side of child.mts: how fixtures talk to their test.

/** What the test gave the fixture. */
export function input<T>(): T {
  return JSON.parse(process.argv[2] ?? '{}') as T
}

/** Sends the test a message; resolves when it has been sent. */
export function say(kind: string, more: object = {}): Promise<void> {
  return new Promise((resolve) => {
    process.send!({ kind, ...more }, undefined, undefined, () => resolve())
  })
}

/** Does what the test says, and ends when the test has ended. */
export function heed(commands: Record<string, (argument: never) => unknown>): void {
  process.on('message', ({ command, argument }: { command: string; argument: never }) => {
    commands[command]!(argument)
  })
  process.on('disconnect', () => process.exit())
}

/** An error as a message can carry it. */
export function plain(error: unknown): object {
  const { name, message, code, errno, syscall, path, cause, holder, reason } = error as Record<
    string,
    unknown
  >
  const own = { name, message, code, errno, syscall, path, holder, reason }
  return cause === undefined ? own : { ...own, cause: plain(cause) }
}
