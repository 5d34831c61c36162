//! The queue of waiting processes, beside the kernel's own: a lock on a byte of the guard, of the
//! kind that belongs to the open file (`F_OFD_SETLKW`). The kernel manages it, and removes
//! processes that die. A process that waits without queueing announces that by a lock on another
//! byte.
//!
//! On Linux these locks are independent of `flock`; where they are not (macOS, NFS), nobody queues,
//! and [`others_wait`] does not know.

use std::fs::File;
use std::io;
#[cfg(target_os = "linux")]
use std::os::fd::AsRawFd;

/// Far behind the content: the byte for the head of the queue, followed by that of processes that
/// wait without queueing.
#[cfg(target_os = "linux")]
const HEAD: i64 = 1 << 40;

/// Waits in the kernel until this process is at the head of the queue; `false` where there is none.
/// Ends with [`io::ErrorKind::Interrupted`] as [`super::super::flock::lock`] does.
pub fn queue_up(guard: &File) -> io::Result<bool> {
    #[cfg(target_os = "linux")]
    {
        set(guard, libc::F_OFD_SETLKW, libc::F_WRLCK, HEAD, 1).map(|()| true)
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = guard;
        Ok(false)
    }
}

/// Announces that this process waits, though not in the queue. Only a hint: failures are ignored.
pub fn announce(guard: &File) {
    #[cfg(target_os = "linux")]
    let _ = set(guard, libc::F_OFD_SETLK, libc::F_RDLCK, HEAD + 1, 1);
    #[cfg(not(target_os = "linux"))]
    let _ = guard;
}

/// Leaves the queue, and withdraws the announcement.
pub fn leave(guard: &File) {
    #[cfg(target_os = "linux")]
    let _ = set(guard, libc::F_OFD_SETLK, libc::F_UNLCK, HEAD, 2);
    #[cfg(not(target_os = "linux"))]
    let _ = guard;
}

/// Whether another process waits; `None` where that can't be known.
pub fn others_wait(guard: &File) -> Option<bool> {
    #[cfg(target_os = "linux")]
    {
        let mut lock = bytes(libc::F_WRLCK, HEAD, 2);
        // SAFETY: the descriptor is open for the call, and the pointer is to a local.
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
fn set(
    guard: &File,
    call: libc::c_int,
    kind: libc::c_int,
    start: i64,
    length: i64,
) -> io::Result<()> {
    let mut lock = bytes(kind, start, length);
    // SAFETY: the descriptor is open for the call, and the pointer is to a local.
    match unsafe { libc::fcntl(guard.as_raw_fd(), call, &raw mut lock) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(target_os = "linux")]
#[allow(clippy::cast_possible_truncation, clippy::useless_conversion, reason = "widths differ")]
fn bytes(kind: libc::c_int, start: i64, length: i64) -> libc::flock {
    // SAFETY: plain data for which zero is valid.
    let mut lock: libc::flock = unsafe { std::mem::zeroed() };
    lock.l_type = kind as libc::c_short;
    lock.l_whence = libc::SEEK_SET as libc::c_short;
    lock.l_start = start as libc::off_t;
    lock.l_len = length as libc::off_t;
    lock
}
