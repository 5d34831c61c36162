//! The only place that calls `flock(2)` and `LockFileEx`; `clippy.toml` bans them elsewhere.
#![expect(clippy::disallowed_methods, reason = "this is the one door")]

use std::fs::File;
use std::io;

use fs4::{FileExt, TryLockError};

use super::platform;
use crate::Mode;

/// Takes the kernel lock if it is free; `false` if it is held. Never blocks on a local file system.
pub fn try_lock(file: &File, mode: Mode) -> io::Result<bool> {
    loop {
        // Called by path: since Rust 1.89 `file.try_lock()` would be std's own method.
        let taken = match mode {
            Mode::Exclusive => FileExt::try_lock(file),
            Mode::Shared => FileExt::try_lock_shared(file),
        };
        return match taken {
            Ok(()) => Ok(true),
            Err(TryLockError::WouldBlock) => Ok(false),
            Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Interrupted => {
                continue;
            }
            Err(TryLockError::Error(error)) if platform::is_contended(&error) => Ok(false),
            Err(TryLockError::Error(error)) => Err(error),
        };
    }
}

/// Waits in the kernel until the lock is granted; first come, first served on Linux.
///
/// Ends with [`io::ErrorKind::Interrupted`] when another thread fires this thread's
/// [`super::Interrupt`]. A caller that is not done waiting calls again, and joins the queue anew.
pub fn lock(file: &File, mode: Mode) -> io::Result<()> {
    platform::interruptibly(|| match mode {
        Mode::Exclusive => FileExt::lock(file),
        Mode::Shared => FileExt::lock_shared(file),
    })
}

/// Releases the kernel lock; in a fork nothing, because the lock is its parent's. Explicit, rather than left to `close`: a child that was just forked
/// shares the open file until it execs, and would keep the lock alive for that long.
pub fn unlock(file: &File) -> io::Result<()> {
    if platform::is_fork() {
        return Ok(());
    }
    loop {
        match FileExt::unlock(file) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}
