export const help = `rootlock: one advisory lock per directory (DIR may be a postgres: or etcd: URL)

  rootlock run [options] DIR -- COMMAND…   runs a command under the lock of DIR
    -s, --shared                take the lock as a reader
    -w, --wait SECONDS          wait for at most that long
    -n, --no-wait               do not wait
    -E, --conflict-exit-code N  exit code if another process holds the lock (75)
    -q, --quiet                 report neither the wait nor the holder
    -o, --close                 release the lock as soon as COMMAND itself ends
  rootlock status [--json] [--watch] DIR   shows the holder and the waiters
  rootlock doctor DIR                      checks whether locks work in DIR

  --file PATH       instead of DIR: the lock of a file, PATH.lock beside it
  --file-name NAME  the lock file's name in DIR (.lock)
  --help, --version

COMMAND finds the fencing token in ROOTLOCK_TOKEN. It gets the signals that are
sent to rootlock, and SIGTERM if the lock is lost. rootlock passes its exit code
on; if a signal ended it, rootlock ends by the same signal, or with 128 + N.
Other exit codes:
   64  wrong usage                      76  the lock was lost during the run
   69  DIR can't be locked             126  COMMAND can't be started
   75  another process holds the lock  127  COMMAND was not found
`
