/** Exit codes. Those that sysexits.h also has mean the same there. */
export const exits = {
  ok: 0,
  /** The doctor found something wrong. */
  unwell: 1,
  usage: 64,
  /** The directory can't be locked or inspected. */
  unavailable: 69,
  /** Another process holds the lock: try again later. */
  held: 75,
  /** The lock was lost while the command ran. */
  lost: 76,
  notExecutable: 126,
  notFound: 127,
  /** Plus the number of the signal that ended the command. */
  signal: 128
} as const
