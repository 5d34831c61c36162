//! The operating system's errors, as Node names them.

use std::io;

/// The error's name in libuv's and Node's spelling, where the number alone does not tell.
///
/// On Unix the number is an `errno` and Node itself knows its name. On Windows it is a Win32 code
/// that libuv translates in its own calls only.
pub(crate) fn name(error: &io::Error) -> Option<&'static str> {
    use io::ErrorKind::{
        AlreadyExists, DirectoryNotEmpty, FileTooLarge, InvalidFilename, InvalidInput,
        IsADirectory, NotADirectory, NotFound, OutOfMemory, PermissionDenied, ReadOnlyFilesystem,
        ResourceBusy, StorageFull, TimedOut, Unsupported,
    };
    Some(match error.kind() {
        AlreadyExists => "EEXIST",
        DirectoryNotEmpty => "ENOTEMPTY",
        FileTooLarge => "EFBIG",
        InvalidFilename => "ENAMETOOLONG",
        InvalidInput => "EINVAL",
        IsADirectory => "EISDIR",
        NotADirectory => "ENOTDIR",
        NotFound => "ENOENT",
        OutOfMemory => "ENOMEM",
        PermissionDenied => "EACCES",
        ReadOnlyFilesystem => "EROFS",
        ResourceBusy => "EBUSY",
        StorageFull => "ENOSPC",
        TimedOut => "ETIMEDOUT",
        Unsupported => "ENOTSUP",
        _ => return None,
    })
}

/// `errno` as Node has it: negative. `None` where the number is not an `errno`.
pub(crate) fn errno(error: &io::Error) -> Option<i32> {
    if std::path::MAIN_SEPARATOR == '\\' { None } else { error.raw_os_error().map(|code| -code) }
}
