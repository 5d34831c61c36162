//! Linux, macOS and the BSDs.

mod access;
mod dir;
mod fork;
mod interrupt;

pub mod clock;
pub mod process;
pub mod waiters;

use std::fs::File;
use std::io;
use std::os::fd::IntoRawFd;
use std::os::unix::fs::FileExt;

use rustix::fs::{FileType, Timespec, Timestamps, UTIME_NOW};
use rustix::io::retry_on_intr;

pub use access::{copy_access, share_access};
pub use dir::Dir;
pub use fork::is_fork;
pub use interrupt::{Interrupt, Interruptible};

use super::{FileId, Nanos, Stat, TimesSet};

/// The identity and times of an open file.
pub fn stat(file: &File) -> io::Result<Stat> {
    Ok(convert(&retry_on_intr(|| rustix::fs::fstat(file))?))
}

/// Sets the access and the modification time.
///
/// On another user's file only "now" is allowed, for both: then they are set to that.
pub fn set_times(file: &File, accessed: Nanos, modified: Nanos) -> io::Result<TimesSet> {
    let set = |last_access, last_modification| {
        let times = Timestamps { last_access, last_modification };
        retry_on_intr(|| rustix::fs::futimens(file, &times))
    };
    match set(timespec(accessed), timespec(modified)) {
        Err(rustix::io::Errno::PERM) => {
            let now = Timespec { tv_sec: 0, tv_nsec: UTIME_NOW as _ };
            set(now, now)?;
            Ok(TimesSet::Now)
        }
        result => Ok(result.map(|()| TimesSet::AsAsked)?),
    }
}

fn timespec(nanos: Nanos) -> Timespec {
    Timespec {
        tv_sec: nanos.div_euclid(NANOS_PER_SECOND) as _,
        tv_nsec: nanos.rem_euclid(NANOS_PER_SECOND) as _,
    }
}

/// The errors by which `flock` says "held", besides `EWOULDBLOCK`: SMB answers `EACCES`.
pub(crate) fn is_contended(error: &io::Error) -> bool {
    error.raw_os_error() == Some(rustix::io::Errno::ACCESS.raw_os_error())
}

/// Makes a call that this thread's [`Interrupt`] may end. A signal ends any call, and `EINTR` is
/// already what [`super::flock::lock`] promises.
pub(crate) fn interruptibly<T>(call: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    call()
}

/// Reads from the start of a file; returns fewer bytes if it is shorter.
pub fn read_at(file: &File, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        match file.read_at(buffer, 0) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

/// Writes all bytes.
pub fn write_at(file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
    file.write_all_at(bytes, offset)
}

/// Closes a file and returns the system's error, which dropping it ignores.
pub fn close(file: File) -> io::Result<()> {
    // SAFETY: the descriptor was just taken from its owner and is closed once.
    let result = unsafe { libc::close(file.into_raw_fd()) };
    if result == 0 {
        return Ok(());
    }
    match io::Error::last_os_error() {
        // The descriptor is closed all the same (close(2), Linux and the BSDs).
        error if error.kind() == io::ErrorKind::Interrupted => Ok(()),
        error => Err(error),
    }
}

const NANOS_PER_SECOND: Nanos = 1_000_000_000;

#[allow(
    clippy::unnecessary_cast,
    clippy::useless_conversion,
    reason = "the fields' widths differ between systems"
)]
fn convert(stat: &rustix::fs::Stat) -> Stat {
    let nanos = |seconds: i128, nanos: i128| seconds * NANOS_PER_SECOND + nanos;
    Stat {
        id: FileId { volume: stat.st_dev as u64, index: stat.st_ino as u128 },
        regular: FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile,
        links: stat.st_nlink as u64,
        size: stat.st_size as u64,
        accessed: nanos(stat.st_atime as i128, stat.st_atime_nsec as i128),
        modified: nanos(stat.st_mtime as i128, stat.st_mtime_nsec as i128),
        changed: nanos(stat.st_ctime as i128, stat.st_ctime_nsec as i128),
    }
}
