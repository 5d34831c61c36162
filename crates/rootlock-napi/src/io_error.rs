//! The operating system's errors, as Node names them.

use std::io;

/// Whether system errors are Win32 codes.
const WINDOWS: bool = std::path::MAIN_SEPARATOR == '\\';

/// The error's name as libuv and Node spell it, where the number alone does not determine it.
///
/// On Unix the number is an `errno`, whose name Node itself knows. On Windows it is a Win32 code,
/// which libuv translates only in its own calls.
pub(crate) fn name(error: &io::Error) -> Option<&'static str> {
    if WINDOWS {
        // Codes that std has no kind for, as libuv translates them: ERROR_TOO_MANY_OPEN_FILES,
        // ERROR_SHARING_VIOLATION, ERROR_LOCK_VIOLATION, ERROR_DELETE_PENDING,
        // ERROR_CANT_RESOLVE_FILENAME (a link in the file's place).
        match error.raw_os_error() {
            Some(4) => return Some("EMFILE"),
            Some(32 | 33 | 303) => return Some("EBUSY"),
            Some(1921) => return Some("ELOOP"),
            _ => {}
        }
    }
    use io::ErrorKind::{
        AlreadyExists, ConnectionRefused, ConnectionReset, DirectoryNotEmpty, FileTooLarge,
        InvalidData, InvalidFilename, InvalidInput, IsADirectory, NotADirectory, NotFound,
        OutOfMemory, PermissionDenied, ReadOnlyFilesystem, ResourceBusy, StorageFull, TimedOut,
        Unsupported,
    };
    Some(match error.kind() {
        AlreadyExists => "EEXIST",
        // A server's; a directory's storage reports a number.
        ConnectionRefused if cfg!(feature = "remote") => "ECONNREFUSED",
        ConnectionReset if cfg!(feature = "remote") => "ECONNRESET",
        DirectoryNotEmpty => "ENOTEMPTY",
        FileTooLarge => "EFBIG",
        InvalidFilename => "ENAMETOOLONG",
        InvalidData if cfg!(feature = "remote") => "EBADMSG",
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
    if WINDOWS { None } else { error.raw_os_error().map(|code| -code) }
}
