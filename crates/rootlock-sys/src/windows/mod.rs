//! Windows 10 and later.
//!
//! The lock is `LockFileEx` over the whole range of a file opened for synchronous use. It is
//! mandatory there: while one handle has it exclusively, no other can read the bytes, and a shared
//! lock prevents all writes, its owner's included. The lock file has no content, and the guard's is
//! written only under the exclusive lock. Times are not content, so a beat can set them.

mod dir;
mod interrupt;

pub mod clock;
pub mod process;
pub mod waiters;

use std::fs::File;
use std::io;
use std::os::windows::fs::FileExt;
use std::os::windows::io::{AsRawHandle, IntoRawHandle};

use windows_sys::Win32::Foundation::{
    CloseHandle, ERROR_CALL_NOT_IMPLEMENTED, ERROR_INVALID_FUNCTION, ERROR_INVALID_LEVEL,
    ERROR_INVALID_PARAMETER, ERROR_NOT_SUPPORTED,
};
use windows_sys::Win32::Storage::FileSystem::{
    BY_HANDLE_FILE_INFORMATION, FILE_ATTRIBUTE_DEVICE, FILE_ATTRIBUTE_DIRECTORY,
    FILE_ATTRIBUTE_REPARSE_POINT, FILE_BASIC_INFO, FILE_ID_INFO, FILE_INFO_BY_HANDLE_CLASS,
    FILE_STANDARD_INFO, FileBasicInfo, FileIdInfo, FileStandardInfo, GetFileInformationByHandle,
    GetFileInformationByHandleEx, SetFileInformationByHandle,
};

pub use dir::Dir;
pub(crate) use interrupt::interruptibly;
pub use interrupt::{Interrupt, Interruptible};

use super::{FileId, Nanos, Stat, TimesSet};

/// There is no fork(2).
pub const fn is_fork() -> bool {
    false
}

/// The identity and times of an open file.
pub fn stat(file: &File) -> io::Result<Stat> {
    const OTHER: u32 =
        FILE_ATTRIBUTE_DIRECTORY | FILE_ATTRIBUTE_REPARSE_POINT | FILE_ATTRIBUTE_DEVICE;
    let basic = basic_info(file)?;
    let mut standard = FILE_STANDARD_INFO::default();
    // SAFETY: `standard` is what the class requires.
    unsafe { query(file, FileStandardInfo, &mut standard) }?;
    let id = file_id(file)?;
    // The answer on file systems without identities. There a replaced file can't be told from its
    // replacement, and two processes could hold one lock.
    if [0, u128::from(u64::MAX), u128::MAX].contains(&id.index) {
        return Err(io::Error::new(
            io::ErrorKind::Unsupported,
            "the file system does not tell files apart",
        ));
    }
    Ok(Stat {
        id,
        regular: basic.FileAttributes & OTHER == 0,
        links: standard.NumberOfLinks.into(),
        size: u64::try_from(standard.EndOfFile).unwrap_or(0),
        accessed: to_nanos(basic.LastAccessTime),
        modified: to_nanos(basic.LastWriteTime),
        changed: to_nanos(basic.ChangeTime),
    })
}

/// Sets the access and the modification time.
pub fn set_times(file: &File, accessed: Nanos, modified: Nanos) -> io::Result<TimesSet> {
    set(
        file,
        FILE_BASIC_INFO {
            LastAccessTime: from_nanos(accessed),
            LastWriteTime: from_nanos(modified),
            ..FILE_BASIC_INFO::default()
        },
    )?;
    Ok(TimesSet::AsAsked)
}

/// On Windows the directory decides who may use a file: a new file inherits its access list.
#[expect(clippy::unnecessary_wraps, reason = "it can fail elsewhere")]
pub fn copy_access(_from: &File, _to: &File) -> io::Result<()> {
    Ok(())
}

/// See [`copy_access`].
pub fn share_access(_from: &File, _to: &File) {}

/// A zero leaves a field unchanged; so the change time is left to the file system, which advances
/// it.
fn set(file: &File, info: FILE_BASIC_INFO) -> io::Result<()> {
    // SAFETY: the handle is open, and `info` has the type and size that the class requires.
    succeeded(unsafe {
        SetFileInformationByHandle(
            file.as_raw_handle(),
            FileBasicInfo,
            (&raw const info).cast(),
            size_of_val(&info) as u32,
        )
    })
}

/// None besides `ERROR_LOCK_VIOLATION`, which is handled elsewhere. `ERROR_IO_PENDING` can't come
/// from a file opened for synchronous use; from another it would announce a lock granted later,
/// behind our back, so it must not count as an answer.
pub(crate) fn is_contended(_error: &io::Error) -> bool {
    false
}

/// Reads from the start of a file; returns fewer bytes if it is shorter.
pub fn read_at(file: &File, buffer: &mut [u8]) -> io::Result<usize> {
    file.seek_read(buffer, 0)
}

/// Writes all bytes.
pub fn write_at(file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
    let mut written = 0;
    while written < bytes.len() {
        match file.seek_write(&bytes[written..], offset + written as u64)? {
            0 => return Err(io::ErrorKind::WriteZero.into()),
            more => written += more,
        }
    }
    Ok(())
}

/// Closes a file and returns the system's error, which dropping it ignores.
pub fn close(file: File) -> io::Result<()> {
    // SAFETY: the handle was just taken from its owner and is closed once.
    succeeded(unsafe { CloseHandle(file.into_raw_handle()) })
}

fn basic_info(file: &File) -> io::Result<FILE_BASIC_INFO> {
    let mut info = FILE_BASIC_INFO::default();
    // SAFETY: `info` is what the class requires.
    unsafe { query(file, FileBasicInfo, &mut info) }?;
    Ok(info)
}

/// By 128 bits, which only ReFS needs; by 64 where the file system or the server knows no more.
///
/// One file must always get the same identity, so the second query is made only if the first is
/// rejected as unknown, not after just any error.
fn file_id(file: &File) -> io::Result<FileId> {
    let mut info = FILE_ID_INFO::default();
    // SAFETY: `info` is what the class requires.
    match unsafe { query(file, FileIdInfo, &mut info) } {
        Ok(()) => Ok(FileId {
            volume: info.VolumeSerialNumber,
            index: u128::from_le_bytes(info.FileId.Identifier),
        }),
        Err(error) if is_unknown(&error) => file_id_64(file),
        Err(error) => Err(error),
    }
}

fn file_id_64(file: &File) -> io::Result<FileId> {
    let mut info = BY_HANDLE_FILE_INFORMATION::default();
    // SAFETY: the handle is open, and `info` is there to be filled.
    succeeded(unsafe { GetFileInformationByHandle(file.as_raw_handle(), &mut info) })?;
    Ok(FileId {
        volume: info.dwVolumeSerialNumber.into(),
        index: u128::from(info.nFileIndexHigh) << 32 | u128::from(info.nFileIndexLow),
    })
}

/// Queries one of the fixed-size classes of information.
///
/// # Safety
///
/// `T` is plain data, and what `class` fills.
unsafe fn query<T>(file: &File, class: FILE_INFO_BY_HANDLE_CLASS, info: &mut T) -> io::Result<()> {
    let size = size_of::<T>() as u32;
    // SAFETY: the handle is open; the caller guarantees the rest.
    succeeded(unsafe {
        GetFileInformationByHandleEx(file.as_raw_handle(), class, (&raw mut *info).cast(), size)
    })
}

/// How file systems and servers say that they don't know a class of information.
fn is_unknown(error: &io::Error) -> bool {
    const CODES: [u32; 5] = [
        ERROR_INVALID_PARAMETER,
        ERROR_NOT_SUPPORTED,
        ERROR_INVALID_FUNCTION,
        ERROR_INVALID_LEVEL,
        ERROR_CALL_NOT_IMPLEMENTED,
    ];
    error.raw_os_error().is_some_and(|code| CODES.contains(&(code as u32)))
}

fn succeeded(result: windows_sys::core::BOOL) -> io::Result<()> {
    if result == 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

const NANOS_PER_TICK: Nanos = 100;

/// 1970, in the system's ticks since 1601.
const EPOCH: Nanos = 116_444_736_000_000_000;

fn to_nanos(ticks: i64) -> Nanos {
    (Nanos::from(ticks) - EPOCH) * NANOS_PER_TICK
}

/// Rounds up, so that a time a nanosecond after another one stays after it. A time too early for
/// ticks becomes the first tick: zero and negative values have special meanings.
fn from_nanos(nanos: Nanos) -> i64 {
    let ticks = EPOCH - (-nanos).div_euclid(NANOS_PER_TICK);
    i64::try_from(ticks.max(1)).unwrap_or(i64::MAX)
}

/// Wine can't pass some of the tests.
#[cfg(test)]
fn is_wine() -> bool {
    std::env::var_os("WINELOADER").is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_survives_the_conversion() {
        for nanos in [0, 100, -100, 1_795_430_520_123_456_700] {
            assert_eq!(to_nanos(from_nanos(nanos)), nanos);
        }
    }

    #[test]
    fn a_time_between_two_ticks_becomes_the_later_one() {
        assert_eq!(to_nanos(from_nanos(1)), 100);
        assert_eq!(to_nanos(from_nanos(-1)), 0);
    }

    #[test]
    fn a_time_too_early_is_not_taken_for_a_command() {
        assert_eq!(from_nanos(Nanos::from(i64::MIN) * 100), 1);
    }
}
