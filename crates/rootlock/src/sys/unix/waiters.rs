//! Whether another process waits: those who do say so by a lock on a byte of the guard, of the kind
//! that belongs to the open file (`F_OFD_SETLK`). The kernel keeps the account, and forgets who
//! dies. Nothing is ever blocked by these locks.
//!
//! On Linux they have nothing to do with `flock`; where they do (macOS, NFS), nobody says anything
//! and [`others_wait`] does not know.

use std::fs::File;
#[cfg(target_os = "linux")]
use std::os::fd::AsRawFd;

/// Far behind the content.
#[cfg(target_os = "linux")]
const BYTE: i64 = 1 << 40;

/// Says that this process waits, or not any more. A hint: if it can't be said, nobody is told.
pub(crate) fn announce(guard: &File, waiting: bool) {
    #[cfg(target_os = "linux")]
    {
        let kind = if waiting { libc::F_RDLCK } else { libc::F_UNLCK };
        let mut lock = byte(kind);
        // SAFETY: the descriptor is open for the call, the pointer is to a local.
        unsafe { libc::fcntl(guard.as_raw_fd(), libc::F_OFD_SETLK, &raw mut lock) };
    }
    #[cfg(not(target_os = "linux"))]
    let _ = (guard, waiting);
}

/// Whether somebody else has said so; `None` where nobody can.
pub(crate) fn others_wait(guard: &File) -> Option<bool> {
    #[cfg(target_os = "linux")]
    {
        let mut lock = byte(libc::F_WRLCK);
        // SAFETY: the descriptor is open for the call, the pointer is to a local.
        let result = unsafe { libc::fcntl(guard.as_raw_fd(), libc::F_OFD_GETLK, &raw mut lock) };
        (result == 0).then(|| i32::from(lock.l_type) != libc::F_UNLCK)
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = guard;
        None
    }
}

#[cfg(target_os = "linux")]
#[allow(clippy::cast_possible_truncation, clippy::useless_conversion, reason = "widths differ")]
fn byte(kind: libc::c_int) -> libc::flock {
    // SAFETY: plain data for which zero is valid.
    let mut lock: libc::flock = unsafe { std::mem::zeroed() };
    lock.l_type = kind as libc::c_short;
    lock.l_whence = libc::SEEK_SET as libc::c_short;
    lock.l_start = BYTE as libc::off_t;
    lock.l_len = 1;
    lock
}
