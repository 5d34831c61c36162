//! The queue of waiting processes, beside the kernel's own: a lock on a byte of the guard, of the
//! kind that belongs to the open file (`F_OFD_SETLKW`). The kernel manages it, and removes
//! processes that die. A process that waits without queueing announces that by a lock on another
//! byte. A writer at the head or without a place in the queue also locks the byte of its time of
//! arrival, so that a reader can wait until every earlier writer has had the lock.
//!
//! On Linux these locks are independent of `flock`; where they are not (macOS, NFS), nobody queues,
//! and [`others_wait`] does not know.

use std::fs::File;
use std::io;
#[cfg(target_os = "linux")]
use std::os::fd::AsRawFd;

#[cfg(target_os = "linux")]
use super::clock;
use crate::Nanos;

/// Far behind the content: the byte for the head of the queue, followed by that of processes that
/// wait without queueing.
#[cfg(target_os = "linux")]
const HEAD: i64 = 1 << 40;

/// Still further behind: a byte for each microsecond of the wall clock.
#[cfg(target_os = "linux")]
const WRITERS: i64 = 1 << 56;

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

/// Announces a writer that arrives now. Only a hint, as every announcement.
pub fn announce_writer(guard: &File) {
    #[cfg(target_os = "linux")]
    {
        let now = micros(clock::wall());
        // Another writer may have arrived in the same microsecond.
        let _ = (now..now + 8)
            .find(|at| set(guard, libc::F_OFD_SETLK, libc::F_WRLCK, WRITERS + at, 1).is_ok());
    }
    #[cfg(not(target_os = "linux"))]
    let _ = guard;
}

/// Withdraws the announcement of a writer.
pub fn withdraw_writer(guard: &File) {
    #[cfg(target_os = "linux")]
    let _ = set(guard, libc::F_OFD_SETLK, libc::F_UNLCK, WRITERS, 0);
    #[cfg(not(target_os = "linux"))]
    let _ = guard;
}

/// Whether a writer of another process waits that arrived before that time.
pub fn writers_wait(guard: &File, before: Nanos) -> bool {
    #[cfg(target_os = "linux")]
    {
        is_locked(guard, libc::F_RDLCK, WRITERS, micros(before)) == Some(true)
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = (guard, before);
        false
    }
}

/// Waits in the kernel until no writer waits that arrived before that time. Ends as [`queue_up`]
/// does.
pub fn give_way(guard: &File, before: Nanos) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    {
        set(guard, libc::F_OFD_SETLKW, libc::F_RDLCK, WRITERS, micros(before))?;
        withdraw_writer(guard);
    }
    #[cfg(not(target_os = "linux"))]
    let _ = (guard, before);
    Ok(())
}

/// Leaves the queue, and withdraws every announcement.
pub fn leave(guard: &File) {
    #[cfg(target_os = "linux")]
    let _ = set(guard, libc::F_OFD_SETLK, libc::F_UNLCK, HEAD, 0);
    #[cfg(not(target_os = "linux"))]
    let _ = guard;
}

/// Whether another process waits; `None` where that can't be known.
pub fn others_wait(guard: &File) -> Option<bool> {
    #[cfg(target_os = "linux")]
    {
        is_locked(guard, libc::F_WRLCK, HEAD, 2)
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = guard;
        None
    }
}

/// In microseconds, which an offset has room for; as good as now if the clock stands before 1970,
/// because then whoever waits for a time waits for nobody.
#[cfg(target_os = "linux")]
fn micros(time: Nanos) -> i64 {
    i64::try_from(time / 1_000).unwrap_or_default().max(1)
}

/// Whether bytes are locked so that nobody else gets that kind of lock.
#[cfg(target_os = "linux")]
fn is_locked(guard: &File, kind: libc::c_int, start: i64, length: i64) -> Option<bool> {
    let mut lock = bytes(kind, start, length);
    // SAFETY: the descriptor is open for the call, and the pointer is to a local.
    let result = unsafe { libc::fcntl(guard.as_raw_fd(), libc::F_OFD_GETLK, &raw mut lock) };
    (result == 0).then(|| i32::from(lock.l_type) != libc::F_UNLCK)
}

#[cfg(target_os = "linux")]
fn set(
    guard: &File,
    call: libc::c_int,
    kind: libc::c_int,
    start: i64,
    length: i64,
) -> io::Result<()> {
    if kind == libc::F_UNLCK && super::is_fork() {
        // They are its parent's.
        return Ok(());
    }
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
