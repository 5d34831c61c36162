//! A directory handle: everything is opened relative to it, by a plain name.
//!
//! Uses `NtCreateFile`: the Win32 calls can't start from a handle, follow links, and change names
//! (`nul`, a trailing dot).

use std::fs::{File, OpenOptions};
use std::io;
use std::os::windows::fs::OpenOptionsExt;
use std::os::windows::io::{AsRawHandle, FromRawHandle};
use std::path::Path;
use std::time::Duration;
use std::{mem, ptr, thread};

use windows_sys::Wdk::Foundation::OBJECT_ATTRIBUTES;
use windows_sys::Wdk::Storage::FileSystem::{
    FILE_CREATE, FILE_DISPOSITION_DELETE, FILE_DISPOSITION_INFORMATION,
    FILE_DISPOSITION_INFORMATION_EX, FILE_DISPOSITION_POSIX_SEMANTICS, FILE_INFORMATION_CLASS,
    FILE_NON_DIRECTORY_FILE, FILE_OPEN, FILE_OPEN_IF, FILE_OPEN_REPARSE_POINT,
    FILE_RENAME_INFORMATION, FILE_RENAME_INFORMATION_0, FILE_RENAME_POSIX_SEMANTICS,
    FILE_RENAME_REPLACE_IF_EXISTS, FILE_SYNCHRONOUS_IO_NONALERT, FileDispositionInformation,
    FileDispositionInformationEx, FileFsDeviceInformation, FileRenameInformation,
    FileRenameInformationEx, NTCREATEFILE_CREATE_DISPOSITION, NTCREATEFILE_CREATE_OPTIONS,
    NtCreateFile, NtQueryVolumeInformationFile, NtSetInformationFile,
};
use windows_sys::Wdk::System::SystemServices::{FILE_FS_DEVICE_INFORMATION, FILE_REMOTE_DEVICE};
use windows_sys::Win32::Foundation::{
    ERROR_CANT_RESOLVE_FILENAME, ERROR_DELETE_PENDING, ERROR_DIRECTORY,
    ERROR_DIRECTORY_NOT_SUPPORTED, NTSTATUS, OBJ_CASE_INSENSITIVE, RtlNtStatusToDosError,
    STATUS_DELETE_PENDING, STATUS_FILE_IS_A_DIRECTORY, STATUS_INVALID_DEVICE_REQUEST,
    STATUS_INVALID_INFO_CLASS, STATUS_INVALID_PARAMETER, STATUS_NAME_TOO_LONG, STATUS_NO_SUCH_FILE,
    STATUS_NOT_IMPLEMENTED, STATUS_NOT_SUPPORTED, STATUS_OBJECT_NAME_NOT_FOUND,
    STATUS_OBJECT_PATH_NOT_FOUND, STATUS_SHARING_VIOLATION, UNICODE_STRING,
};
use windows_sys::Win32::Storage::FileSystem::{
    DELETE, FILE_ACCESS_RIGHTS, FILE_ATTRIBUTE_DIRECTORY, FILE_ATTRIBUTE_NORMAL,
    FILE_ATTRIBUTE_REPARSE_POINT, FILE_FLAG_BACKUP_SEMANTICS, FILE_READ_ATTRIBUTES, FILE_READ_DATA,
    FILE_SHARE_DELETE, FILE_SHARE_READ, FILE_SHARE_WRITE, FILE_TRAVERSE, FILE_WRITE_ATTRIBUTES,
    FILE_WRITE_DATA, GetVolumeInformationByHandleW, SYNCHRONIZE,
};
use windows_sys::Win32::System::IO::IO_STATUS_BLOCK;

use crate::file_system::FileSystem;
use crate::{Create, FileId, Locality, Stat};

/// An open directory. Renaming its path no longer matters, where the system allows it: not while a
/// file in it is open.
#[derive(Debug)]
pub struct Dir {
    handle: File,
}

/// Excludes no other access, deleting and replacing included.
const SHARE_ALL: u32 = FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE;

/// Opens whatever has the name itself, even a link, and nothing behind it.
const NOT_FOLLOWED: NTCREATEFILE_CREATE_OPTIONS =
    FILE_OPEN_REPARSE_POINT | FILE_SYNCHRONOUS_IO_NONALERT;

impl Dir {
    pub fn open(path: &Path) -> io::Result<Self> {
        let handle = OpenOptions::new()
            // As on Unix, search permission is enough.
            .access_mode(FILE_TRAVERSE | FILE_READ_ATTRIBUTES)
            .share_mode(SHARE_ALL)
            // Without it no directory is opened; with it files are too.
            .custom_flags(FILE_FLAG_BACKUP_SEMANTICS)
            .open(path)?;
        if super::basic_info(&handle)?.FileAttributes & FILE_ATTRIBUTE_DIRECTORY == 0 {
            return Err(io::Error::from_raw_os_error(ERROR_DIRECTORY as i32));
        }
        Ok(Self { handle })
    }

    /// Windows resolves paths as text: here they are absolute.
    pub fn open_from(_base: Option<&Self>, path: &Path) -> io::Result<Self> {
        Self::open(path)
    }

    /// Only Linux can tell in advance.
    pub fn open_cached(_base: Option<&Self>, _path: &Path) -> Option<Self> {
        None
    }

    /// Not needed where [`Dir::open_cached`] is not.
    pub fn mount_and_id(&self) -> Option<(u64, FileId)> {
        None
    }

    /// A directory has the same access rights here by whatever path it was opened.
    pub fn mount(&self) -> u64 {
        0
    }

    pub fn id(&self) -> io::Result<FileId> {
        super::file_id(&self.handle)
    }

    /// Local means: not a network device, and named like one of the system's own file systems. One
    /// that runs as a program (WinFsp, Dokan) has a name of its own.
    pub fn locality(&self) -> Locality {
        const LOCAL: [&str; 7] = ["NTFS", "ReFS", "CSVFS", "exFAT", "FAT32", "FAT", "UDF"];
        match (self.is_remote(), self.volume_kind()) {
            (Ok(false), Ok(name)) if LOCAL.contains(&name.as_str()) => Locality::Local,
            _ => Locality::Remote,
        }
    }

    /// Its file system; a share is reported under the file system behind it.
    pub fn file_system(&self) -> FileSystem {
        let options = if self.is_remote().unwrap_or(false) { "remote" } else { "" };
        FileSystem::new(self.volume_kind().unwrap_or_default(), options.into(), self.locality())
    }

    /// Opens a plain name for reading, writing and locking. Does not follow a symbolic link
    /// (`ELOOP`, as Node calls it), and is not inherited by child processes.
    pub fn open_file(&self, name: &str, create: Create) -> io::Result<File> {
        let access = FILE_READ_DATA
            | FILE_WRITE_DATA
            | FILE_READ_ATTRIBUTES
            | FILE_WRITE_ATTRIBUTES
            | SYNCHRONIZE;
        let disposition = match create {
            Create::Never => FILE_OPEN,
            Create::IfMissing => FILE_OPEN_IF,
            Create::New => FILE_CREATE,
        };
        self.open_no_link(name, access, disposition)
    }

    /// Opens a plain name for reading only, so that a read-only file system will do.
    pub fn open_to_look(&self, name: &str) -> io::Result<File> {
        self.open_no_link(name, FILE_READ_DATA | FILE_READ_ATTRIBUTES | SYNCHRONIZE, FILE_OPEN)
    }

    /// The file that a plain name refers to now; `None` if there is none.
    pub fn stat(&self, name: &str) -> io::Result<Option<Stat>> {
        let access = FILE_READ_ATTRIBUTES | SYNCHRONIZE;
        // Tried once: no other handle excludes one that only reads attributes.
        match self.open_once(name, access, FILE_OPEN, NOT_FOLLOWED) {
            Ok(file) => super::stat(&file).map(Some),
            Err(status) if status.is_missing() => Ok(None),
            Err(status) => Err(status.into()),
        }
    }

    /// Puts `from` in the place of `to`, atomically.
    ///
    /// Since Windows 10 1709, NTFS does so even while others have `to` open, as on Unix. File
    /// systems that can't (FAT, old servers, Wine) use the older call, which refuses that.
    pub fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let file = self.open_at(from, DELETE | SYNCHRONIZE, FILE_OPEN, NOT_FOLLOWED)?;
        let flags = FILE_RENAME_REPLACE_IF_EXISTS | FILE_RENAME_POSIX_SEMANTICS;
        let posix = FILE_RENAME_INFORMATION_0 { Flags: flags };
        let classic = FILE_RENAME_INFORMATION_0 { ReplaceIfExists: true };
        match self.rename_file(&file, to, FileRenameInformationEx, posix) {
            Err(status) if status.is_unknown() => {
                Ok(self.rename_file(&file, to, FileRenameInformation, classic)?)
            }
            result => Ok(result?),
        }
    }

    /// Removes a plain name, if it exists.
    ///
    /// Where the file system supports it, the name is gone at once; otherwise when the last handle
    /// is closed.
    pub fn remove(&self, name: &str) -> io::Result<()> {
        let options = NOT_FOLLOWED | FILE_NON_DIRECTORY_FILE;
        let file = match self.open_at(name, DELETE | SYNCHRONIZE, FILE_OPEN, options) {
            Ok(file) => file,
            Err(status) if status.is_missing() => return Ok(()),
            Err(status) => return Err(status.into()),
        };
        let posix = FILE_DISPOSITION_INFORMATION_EX {
            Flags: FILE_DISPOSITION_DELETE | FILE_DISPOSITION_POSIX_SEMANTICS,
        };
        let classic = FILE_DISPOSITION_INFORMATION { DeleteFile: true };
        // SAFETY: both are what their class requires.
        match unsafe { set(&file, FileDispositionInformationEx, &posix) } {
            Err(status) if status.is_unknown() => {
                // SAFETY: as above.
                Ok(unsafe { set(&file, FileDispositionInformation, &classic) }?)
            }
            result => Ok(result?),
        }
    }

    fn open_no_link(
        &self,
        name: &str,
        access: FILE_ACCESS_RIGHTS,
        disposition: NTCREATEFILE_CREATE_DISPOSITION,
    ) -> io::Result<File> {
        let file =
            self.open_at(name, access, disposition, NOT_FOLLOWED | FILE_NON_DIRECTORY_FILE)?;
        if super::basic_info(&file)?.FileAttributes & FILE_ATTRIBUTE_REPARSE_POINT != 0 {
            return Err(io::Error::from_raw_os_error(ERROR_CANT_RESOLVE_FILENAME as i32));
        }
        Ok(file)
    }

    /// Opens a plain name. Retries transient failures for some tens of milliseconds: a virus
    /// scanner's brief exclusive look; a file that is being deleted.
    fn open_at(
        &self,
        name: &str,
        access: FILE_ACCESS_RIGHTS,
        disposition: NTCREATEFILE_CREATE_DISPOSITION,
        options: NTCREATEFILE_CREATE_OPTIONS,
    ) -> Result<File, Status> {
        for millis in [0, 1, 2, 4, 8] {
            match self.open_once(name, access, disposition, options) {
                Err(status) if status.is_passing() => {
                    // Not `sleep`: there is no condition to wait on.
                    thread::park_timeout(Duration::from_millis(millis));
                }
                result => return result,
            }
        }
        self.open_once(name, access, disposition, options)
    }

    fn open_once(
        &self,
        name: &str,
        access: FILE_ACCESS_RIGHTS,
        disposition: NTCREATEFILE_CREATE_DISPOSITION,
        options: NTCREATEFILE_CREATE_OPTIONS,
    ) -> Result<File, Status> {
        let name: Vec<u16> = name.encode_utf16().collect();
        let length = u16::try_from(size_of_val(name.as_slice()))
            .map_err(|_| Status(STATUS_NAME_TOO_LONG))?;
        let name = UNICODE_STRING {
            Length: length,
            MaximumLength: length,
            Buffer: name.as_ptr().cast_mut(),
        };
        let object = OBJECT_ATTRIBUTES {
            Length: size_of::<OBJECT_ATTRIBUTES>() as u32,
            RootDirectory: self.handle.as_raw_handle(),
            ObjectName: &name,
            // Case-insensitive, like every other program's names. Without OBJ_INHERIT.
            Attributes: OBJ_CASE_INSENSITIVE,
            ..OBJECT_ATTRIBUTES::default()
        };
        let mut handle = ptr::null_mut();
        let mut block = IO_STATUS_BLOCK::default();
        // SAFETY: `object`, `name` and its buffer live until the call returns, and are only read;
        // there is room for the handle and the status.
        Status::check(unsafe {
            NtCreateFile(
                &mut handle,
                access,
                &object,
                &mut block,
                ptr::null(),
                FILE_ATTRIBUTE_NORMAL,
                SHARE_ALL,
                disposition,
                options,
                ptr::null(),
                0,
            )
        })?;
        // SAFETY: the handle was just opened, belongs to nobody else, and is a file's.
        Ok(unsafe { File::from_raw_handle(handle) })
    }

    fn rename_file(
        &self,
        file: &File,
        to: &str,
        class: FILE_INFORMATION_CLASS,
        how: FILE_RENAME_INFORMATION_0,
    ) -> Result<(), Status> {
        const NAME: usize = mem::offset_of!(FILE_RENAME_INFORMATION, FileName);
        let to: Vec<u16> = to.encode_utf16().collect();
        let size = NAME + size_of_val(to.as_slice());
        // An array of words, so that it is aligned as the structure at its beginning must be.
        let words = size.max(size_of::<FILE_RENAME_INFORMATION>()).div_ceil(size_of::<u64>());
        let mut buffer = vec![0_u64; words];
        let info: *mut FILE_RENAME_INFORMATION = buffer.as_mut_ptr().cast();
        // SAFETY: the buffer has room for the structure and the name that extends it, and is
        // aligned for both.
        unsafe {
            info.write(FILE_RENAME_INFORMATION {
                Anonymous: how,
                RootDirectory: self.handle.as_raw_handle(),
                FileNameLength: size_of_val(to.as_slice()) as u32,
                FileName: [0],
            });
            info.byte_add(NAME).cast::<u16>().copy_from_nonoverlapping(to.as_ptr(), to.len());
        }
        // SAFETY: the buffer is what both classes require.
        unsafe { set_bytes(file, class, buffer.as_ptr().cast(), size_of_val(buffer.as_slice())) }
    }

    fn is_remote(&self) -> Result<bool, Status> {
        let mut info = FILE_FS_DEVICE_INFORMATION::default();
        let mut block = IO_STATUS_BLOCK::default();
        // SAFETY: the handle is open, and `info` has the type and size that the class requires.
        Status::check(unsafe {
            NtQueryVolumeInformationFile(
                self.handle.as_raw_handle(),
                &mut block,
                (&raw mut info).cast(),
                size_of_val(&info) as u32,
                FileFsDeviceInformation,
            )
        })?;
        Ok(info.Characteristics & FILE_REMOTE_DEVICE != 0)
    }

    fn volume_kind(&self) -> io::Result<String> {
        // As long as MAX_PATH allows; every known name is much shorter.
        let mut name = [0_u16; 261];
        // SAFETY: the handle is open, the buffer is as long as stated, and nothing else is
        // requested.
        super::succeeded(unsafe {
            GetVolumeInformationByHandleW(
                self.handle.as_raw_handle(),
                ptr::null_mut(),
                0,
                ptr::null_mut(),
                ptr::null_mut(),
                ptr::null_mut(),
                name.as_mut_ptr(),
                name.len() as u32,
            )
        })?;
        let end = name.iter().position(|&unit| unit == 0).unwrap_or(name.len());
        Ok(String::from_utf16_lossy(&name[..end]))
    }
}

/// Sets one of the fixed-size classes of information.
///
/// # Safety
///
/// `info` is what `class` requires.
unsafe fn set<T>(file: &File, class: FILE_INFORMATION_CLASS, info: &T) -> Result<(), Status> {
    // SAFETY: guaranteed by the caller; the pointer and the size are of one value.
    unsafe { set_bytes(file, class, (&raw const *info).cast(), size_of::<T>()) }
}

/// # Safety
///
/// There are `size` bytes at `info`, which are what `class` requires.
unsafe fn set_bytes(
    file: &File,
    class: FILE_INFORMATION_CLASS,
    info: *const std::ffi::c_void,
    size: usize,
) -> Result<(), Status> {
    let mut block = IO_STATUS_BLOCK::default();
    // SAFETY: the handle is open; the caller guarantees the rest.
    Status::check(unsafe {
        NtSetInformationFile(file.as_raw_handle(), &mut block, info, size as u32, class)
    })
}

/// The status of a failed call, in the kernel's finer distinctions.
#[derive(Clone, Copy, Debug)]
struct Status(NTSTATUS);

impl Status {
    fn check(status: NTSTATUS) -> Result<(), Self> {
        if status < 0 { Err(Self(status)) } else { Ok(()) }
    }

    /// Nothing has that name, or nothing that will stay.
    fn is_missing(self) -> bool {
        matches!(
            self.0,
            STATUS_OBJECT_NAME_NOT_FOUND
                | STATUS_OBJECT_PATH_NOT_FOUND
                | STATUS_NO_SUCH_FILE
                | STATUS_DELETE_PENDING
        )
    }

    /// A retry may succeed.
    fn is_passing(self) -> bool {
        matches!(self.0, STATUS_DELETE_PENDING | STATUS_SHARING_VIOLATION)
    }

    /// How file systems and servers say that they don't know a class of information.
    fn is_unknown(self) -> bool {
        matches!(
            self.0,
            STATUS_INVALID_INFO_CLASS
                | STATUS_INVALID_PARAMETER
                | STATUS_NOT_SUPPORTED
                | STATUS_NOT_IMPLEMENTED
                | STATUS_INVALID_DEVICE_REQUEST
        )
    }
}

impl From<Status> for io::Error {
    fn from(status: Status) -> Self {
        let code = match status.0 {
            // Both would become "access denied", which they are not.
            STATUS_FILE_IS_A_DIRECTORY => ERROR_DIRECTORY_NOT_SUPPORTED,
            STATUS_DELETE_PENDING => ERROR_DELETE_PENDING,
            // SAFETY: no preconditions.
            status => unsafe { RtlNtStatusToDosError(status) },
        };
        Self::from_raw_os_error(code as i32)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::Mode;
    use crate::flock;
    use crate::platform::is_wine;
    use windows_sys::Win32::Foundation::ERROR_PRIVILEGE_NOT_HELD;

    fn directory() -> (tempfile::TempDir, Dir) {
        let directory = tempfile::tempdir().expect("temporary directory");
        let dir = Dir::open(directory.path()).expect("opens");
        (directory, dir)
    }

    fn id(dir: &Dir, name: &str) -> FileId {
        dir.stat(name).expect("looks").expect("is there").id
    }

    #[test]
    fn only_a_directory_is_opened() {
        let (directory, _dir) = directory();
        let file = directory.path().join("file");
        fs::write(&file, "").expect("writes");
        let error = Dir::open(&file).expect_err("a file");
        assert_eq!(error.kind(), io::ErrorKind::NotADirectory);
        let error = Dir::open(&directory.path().join("nothing")).expect_err("nothing");
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn a_local_disk_is_local() {
        let (_directory, dir) = directory();
        assert_eq!(dir.locality(), Locality::Local);
    }

    #[test]
    fn a_file_is_created_only_on_request() {
        let (_directory, dir) = directory();
        let kind = |create| dir.open_file("file", create).map(drop).map_err(|error| error.kind());
        assert_eq!(kind(Create::Never), Err(io::ErrorKind::NotFound));
        assert_eq!(dir.stat("file").expect("looks"), None);
        assert_eq!(kind(Create::New), Ok(()));
        assert_eq!(kind(Create::New), Err(io::ErrorKind::AlreadyExists));
        assert_eq!(kind(Create::IfMissing), Ok(()));
        assert_eq!(kind(Create::Never), Ok(()));
        dir.remove("file").expect("removes");
        dir.remove("file").expect("nothing to remove");
        assert_eq!(kind(Create::IfMissing), Ok(()));
    }

    #[test]
    fn a_directory_is_not_opened_as_a_file() {
        let (directory, dir) = directory();
        fs::create_dir(directory.path().join("file")).expect("makes");
        let error = dir.open_file("file", Create::IfMissing).expect_err("a directory");
        assert_eq!(error.kind(), io::ErrorKind::IsADirectory);
        assert!(!dir.stat("file").expect("looks").expect("is there").regular);
        dir.remove("file").expect_err("a directory");
    }

    #[test]
    fn a_link_is_not_followed() {
        let (directory, dir) = directory();
        let link = directory.path().join("link");
        let made = std::os::windows::fs::symlink_file(directory.path().join("target"), link);
        if let Err(error) = made {
            // Not everybody may create links.
            assert_eq!(error.raw_os_error(), Some(ERROR_PRIVILEGE_NOT_HELD as i32));
            return;
        }
        if is_wine() {
            // Wine follows links regardless; here, to nowhere.
            dir.open_file("link", Create::Never).expect_err("there is no target");
            return;
        }
        for create in [Create::Never, Create::IfMissing] {
            let error = dir.open_file("link", create).expect_err("a link");
            assert_eq!(error.raw_os_error(), Some(ERROR_CANT_RESOLVE_FILENAME as i32));
        }
        assert!(!dir.stat("link").expect("looks").expect("is there").regular);
        assert_eq!(dir.stat("target").expect("looks"), None);
    }

    #[test]
    fn an_open_file_and_its_name_report_the_same() {
        let (_directory, dir) = directory();
        let file = dir.open_file("file", Create::New).expect("makes");
        let other = dir.open_file("other", Create::New).expect("makes");
        assert_eq!(
            crate::stat(&file).expect("looks"),
            dir.stat("file").expect("looks").expect("is")
        );
        assert_ne!(crate::stat(&other).expect("looks").id, id(&dir, "file"));
        assert_eq!(dir.id().expect("looks"), crate::stat(&dir.handle).expect("looks").id);
    }

    #[test]
    fn the_modification_time_is_set_exactly_and_the_change_time_moves() {
        let (_directory, dir) = directory();
        let file = dir.open_file("file", Create::New).expect("makes");
        let before = crate::stat(&file).expect("looks");
        let wanted = before.modified - 3_600_000_000_000;
        thread::park_timeout(Duration::from_millis(20));
        // A beat happens under the kernel lock in either mode.
        assert!(flock::try_lock(&file, Mode::Shared).expect("locks"));
        crate::set_times(&file, wanted + 1_000, wanted).expect("sets");
        let after = dir.stat("file").expect("looks").expect("is there");
        assert_eq!((after.accessed, after.modified), (wanted + 1_000, wanted));
        assert!(after.changed > before.changed);
    }

    #[test]
    fn the_holder_reads_and_writes() {
        let (_directory, dir) = directory();
        let file = dir.open_file("file", Create::New).expect("makes");
        assert!(flock::try_lock(&file, Mode::Exclusive).expect("locks"));
        crate::write_at(&file, b"lock", 4).expect("writes");
        crate::write_at(&file, b"root", 0).expect("writes");
        let mut buffer = [0; 16];
        assert_eq!(crate::read_at(&file, &mut buffer).expect("reads"), 8);
        assert_eq!(&buffer[..8], b"rootlock");
        flock::unlock(&file).expect("unlocks");
        let look = dir.open_to_look("file").expect("opens");
        assert_eq!(crate::read_at(&look, &mut buffer).expect("reads"), 8);
        crate::close(look).expect("closes");
    }

    #[test]
    fn each_open_file_has_a_lock_of_its_own() {
        let (_directory, dir) = directory();
        let open = || dir.open_file("file", Create::IfMissing).expect("opens");
        let (first, second) = (open(), open());
        assert!(flock::try_lock(&first, Mode::Exclusive).expect("locks"));
        assert!(!flock::try_lock(&second, Mode::Exclusive).expect("tries"));
        assert!(!flock::try_lock(&second, Mode::Shared).expect("tries"));
        flock::unlock(&first).expect("unlocks");
        assert!(flock::try_lock(&first, Mode::Shared).expect("locks"));
        assert!(flock::try_lock(&second, Mode::Shared).expect("locks"));
        crate::close(first).expect("closes");
        flock::unlock(&second).expect("unlocks");
        assert!(flock::try_lock(&second, Mode::Exclusive).expect("locks"));
    }

    #[test]
    fn a_file_that_nobody_has_open_is_replaced() {
        let (_directory, dir) = directory();
        drop(dir.open_file("old", Create::New).expect("makes"));
        let new = dir.open_file("new", Create::New).expect("makes");
        assert!(flock::try_lock(&new, Mode::Exclusive).expect("locks"));
        dir.rename("new", "old").expect("renames");
        // Wine forgets the volume of a file that was renamed.
        assert_eq!(id(&dir, "old").index, crate::stat(&new).expect("looks").id.index);
        assert_eq!(dir.stat("new").expect("looks"), None);
    }

    /// As a takeover does.
    #[test]
    fn a_file_that_somebody_has_locked_is_replaced_or_left_as_it_is() {
        let (_directory, dir) = directory();
        let old = dir.open_file("old", Create::New).expect("makes");
        assert!(flock::try_lock(&old, Mode::Exclusive).expect("locks"));
        let new = dir.open_file("new", Create::New).expect("makes");
        assert!(flock::try_lock(&new, Mode::Exclusive).expect("locks"));
        let kept = match dir.rename("new", "old") {
            Ok(()) => &new,
            Err(error) => {
                assert!(is_wine(), "NTFS can: {error}");
                &old
            }
        };
        assert_eq!(id(&dir, "old"), crate::stat(kept).expect("looks").id);
    }

    #[test]
    fn a_removed_file_is_gone_even_while_it_is_open() {
        let (_directory, dir) = directory();
        let file = dir.open_file("file", Create::New).expect("makes");
        dir.remove("file").expect("removes");
        assert_eq!(dir.stat("file").expect("looks"), None);
        let again = dir.open_file("file", Create::New).expect("makes");
        assert_ne!(crate::stat(&file).expect("looks").id, crate::stat(&again).expect("looks").id);
    }
}
