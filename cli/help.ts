export const help = `rootlock: one advisory lock per directory

  rootlock run [options] DIR -- COMMAND…   runs a command under the lock of DIR
    -s, --shared                take it as a reader
    -w, --wait SECONDS          wait for no longer than that
    -n, --no-wait               do not wait
    -E, --conflict-exit-code N  when somebody else has the lock (75)
    -q, --quiet                 do not tell of waiting, nor who has the lock
    -o, --close                 what COMMAND leaves running keeps no lock
  rootlock status [--json] [--watch] DIR   who has it and since when, who waits
  rootlock doctor DIR                      how far a lock there can be relied on

  --file NAME    another lock file than .lock
  --help, --version

COMMAND finds the fencing token in ROOTLOCK_TOKEN. It gets the signals that are
sent to rootlock, and SIGTERM when the lock is lost. Its exit code is passed on;
if a signal ended it, rootlock ends by it too, or with 128 + N. Other codes:
   64  wrong usage                   76  the lock was lost meanwhile
   69  DIR can't be locked          126  COMMAND can't be started
   75  somebody else has the lock   127  COMMAND was not found
`
