//! A directory handle: everything is opened relative to it, by a plain name.
//!
//! On FUSE and network file systems a signal may interrupt any call; the call has not failed then.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;

use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::{Errno, retry_on_intr};

use crate::file_system::FileSystem;
use crate::sync::thread;
use crate::{Create, FileId, Locality, Stat};

/// An open directory; renaming its path no longer matters.
#[derive(Debug)]
pub struct Dir {
    fd: OwnedFd,
}

/// Search permission is enough to open files inside a directory.
#[cfg(any(target_os = "linux", target_os = "android", target_os = "freebsd"))]
const HANDLE: OFlags = OFlags::PATH;
#[cfg(not(any(target_os = "linux", target_os = "android", target_os = "freebsd")))]
const HANDLE: OFlags = OFlags::RDONLY;

#[cfg(any(target_os = "linux", target_os = "android"))]
const NOATIME: OFlags = OFlags::NOATIME;
#[cfg(not(any(target_os = "linux", target_os = "android")))]
const NOATIME: OFlags = OFlags::empty();

/// How often opening or creating a file that comes and goes is tried; each time somebody must have
/// removed it.
const MAKE_TRIES: u32 = 100;

/// How long another process needs at most to let its group in to a file that it has made.
const LET_IN: Duration = Duration::from_millis(2);

impl Dir {
    pub fn open(path: &Path) -> io::Result<Self> {
        Self::open_from(None, path)
    }

    /// The same with a relative path that begins at a directory other than the current one.
    pub fn open_from(base: Option<&Self>, path: &Path) -> io::Result<Self> {
        let flags = HANDLE | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let base = base.map_or(rustix::fs::CWD, |base| base.fd.as_fd());
        let fd = retry_on_intr(|| rustix::fs::openat(base, path, flags, Mode::empty()))?;
        Ok(Self { fd })
    }

    /// Opens a directory if the kernel's memory suffices: `None` when that would have to ask a disk
    /// or a server, or when the system can't tell.
    #[cfg(target_os = "linux")]
    pub fn open_cached(base: Option<&Self>, path: &Path) -> Option<Self> {
        let base = base.map_or(rustix::fs::CWD, |base| base.fd.as_fd());
        let flags = HANDLE | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let resolve = rustix::fs::ResolveFlags::CACHED;
        let open = || rustix::fs::openat2(base, path, flags, Mode::empty(), resolve);
        // `EAGAIN`: not in memory, or somebody renamed something anywhere just now; then the next,
        // cheap try is likely to succeed.
        let tries = (0..3).map(|_| open()).find(|opened| !matches!(opened, Err(Errno::AGAIN)));
        Some(Self { fd: tries?.ok()? })
    }

    /// Only Linux can tell in advance.
    #[cfg(not(target_os = "linux"))]
    pub fn open_cached(_base: Option<&Self>, _path: &Path) -> Option<Self> {
        None
    }

    /// Identifies the mount that the directory is on, and the directory, without asking a server.
    /// Two equal mounts are the same one, so what is known of one holds for the other. `None` when
    /// the system can't tell.
    #[cfg(target_os = "linux")]
    pub fn mount_and_id(&self) -> Option<(u64, FileId)> {
        use rustix::fs::StatxFlags;
        /// `STATX_MNT_ID_UNIQUE`, since Linux 6.8: a number never reused before a reboot.
        const UNIQUE: StatxFlags = StatxFlags::from_bits_retain(0x4000);
        let flags = AtFlags::EMPTY_PATH | AtFlags::STATX_DONT_SYNC;
        let stat = rustix::fs::statx(&self.fd, c"", flags, UNIQUE | StatxFlags::INO).ok()?;
        let told = StatxFlags::from_bits_retain(stat.stx_mask);
        let volume = rustix::fs::makedev(stat.stx_dev_major, stat.stx_dev_minor);
        let id = FileId { volume, index: u128::from(stat.stx_ino) };
        told.contains(UNIQUE | StatxFlags::INO).then_some((stat.stx_mnt_id, id))
    }

    #[cfg(not(target_os = "linux"))]
    pub fn mount_and_id(&self) -> Option<(u64, FileId)> {
        None
    }

    /// A number for the mount that the directory is on, where [`Dir::mount_and_id`] has none;
    /// unique while the directory is open. Zero where the system does not number mounts: there a
    /// directory has a different identity on each.
    #[cfg(target_os = "linux")]
    pub fn mount(&self) -> u64 {
        use rustix::fs::StatxFlags;
        // This may have been a transient failure; a number of another kind would look like another
        // mount.
        if let Some((mount, _)) = self.mount_and_id() {
            return mount;
        }
        let flags = AtFlags::EMPTY_PATH | AtFlags::STATX_DONT_SYNC;
        match rustix::fs::statx(&self.fd, c"", flags, StatxFlags::MNT_ID) {
            Ok(stat) if stat.stx_mask & StatxFlags::MNT_ID.bits() != 0 => stat.stx_mnt_id,
            // Before Linux 5.8.
            _ => self.mount_by_procfs().and_then(|mount| mount.parse().ok()).unwrap_or_default(),
        }
    }

    #[cfg(not(target_os = "linux"))]
    pub fn mount(&self) -> u64 {
        0
    }

    #[cfg(any(target_os = "linux", target_os = "android"))]
    fn mount_by_procfs(&self) -> Option<String> {
        use std::os::fd::AsRawFd;
        let about = format!("/proc/self/fdinfo/{}", self.fd.as_raw_fd());
        let about = std::fs::read_to_string(about).ok()?;
        Some(about.lines().find_map(|line| line.strip_prefix("mnt_id:"))?.trim().to_owned())
    }

    pub fn id(&self) -> io::Result<FileId> {
        Ok(super::convert(&retry_on_intr(|| rustix::fs::fstat(&self.fd))?).id)
    }

    #[cfg(any(target_os = "linux", target_os = "android"))]
    pub fn locality(&self) -> Locality {
        /// `f_type` of the file systems whose storage is this machine's (linux/magic.h).
        const LOCAL: [u64; 16] = [
            0x0000_ef53, // ext2, ext3, ext4
            0x5846_5342, // xfs
            0x9123_683e, // btrfs
            0x0102_1994, // tmpfs
            0x8584_58f6, // ramfs
            0x794c_7630, // overlayfs
            0x2fc1_2fc1, // zfs
            0xca45_1a4e, // bcachefs
            0xf2f5_2010, // f2fs
            0x3153_464a, // jfs
            0x5265_4973, // reiserfs
            0x0000_4d44, // msdos, vfat
            0x2011_bab0, // exfat
            0x7366_746e, // ntfs3
            0x0000_3434, // nilfs2
            0x2405_1905, // ubifs
        ];
        match retry_on_intr(|| rustix::fs::fstatfs(&self.fd)) {
            // The field's width and sign differ between processors; magic numbers are 32 bits.
            Ok(stat) if LOCAL.contains(&(stat.f_type as u64 & 0xffff_ffff)) => Locality::Local,
            _ => Locality::Remote,
        }
    }

    #[cfg(any(target_vendor = "apple", target_os = "freebsd"))]
    #[allow(clippy::unnecessary_cast, reason = "the fields' widths differ between systems")]
    pub fn locality(&self) -> Locality {
        match retry_on_intr(|| rustix::fs::fstatfs(&self.fd)) {
            Ok(stat) if stat.f_flags as u64 & libc::MNT_LOCAL as u64 != 0 => Locality::Local,
            _ => Locality::Remote,
        }
    }

    #[cfg(not(any(
        target_os = "linux",
        target_os = "android",
        target_vendor = "apple",
        target_os = "freebsd"
    )))]
    pub fn locality(&self) -> Locality {
        Locality::Remote
    }

    /// Its file system, according to the mount table.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    pub fn file_system(&self) -> FileSystem {
        let (kind, options) = self.mounted().unwrap_or_default();
        FileSystem::new(kind, options, self.locality())
    }

    /// The type and the options of the mount that the directory is on.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    fn mounted(&self) -> Option<(String, String)> {
        let id = self.mount_by_procfs()?;
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").ok()?;
        // "36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue"
        let mount = mounts.lines().find(|line| line.split(' ').next() == Some(&*id))?;
        let mut fields = mount.split_once(" - ")?.1.split(' ');
        let kind = fields.next()?.to_owned();
        let options = fields.nth(1).unwrap_or_default().to_owned();
        Some((kind, options))
    }

    #[cfg(any(target_vendor = "apple", target_os = "freebsd"))]
    #[allow(clippy::unnecessary_cast, reason = "the fields' signs differ between systems")]
    pub fn file_system(&self) -> FileSystem {
        let kind = retry_on_intr(|| rustix::fs::fstatfs(&self.fd)).map_or_else(
            |_| String::new(),
            |stat| {
                let name = stat.f_fstypename.iter().map(|&byte| byte as u8);
                let name: Vec<u8> = name.take_while(|&byte| byte != 0).collect();
                String::from_utf8_lossy(&name).into_owned()
            },
        );
        FileSystem::new(kind, String::new(), self.locality())
    }

    #[cfg(not(any(
        target_os = "linux",
        target_os = "android",
        target_vendor = "apple",
        target_os = "freebsd"
    )))]
    pub fn file_system(&self) -> FileSystem {
        FileSystem::new(String::new(), String::new(), self.locality())
    }

    /// Opens a plain name for reading, writing and locking. Does not follow a symbolic link
    /// (`ELOOP`), does not block on a FIFO, and is not inherited by child processes.
    pub fn open_file(&self, name: &str, create: Create) -> io::Result<File> {
        let flags =
            OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
        let open = || self.open_at(name, flags, Mode::empty());
        let make =
            || self.open_at(name, flags | OFlags::CREATE | OFlags::EXCL, Mode::RUSR | Mode::WUSR);
        match create {
            Create::Never => open(),
            // Its access rights are somebody else's, and set by the caller.
            Create::New => make(),
            // Two calls, not one: with `fs.protected_regular` set, `O_CREAT` on a file that another
            // user owns in a sticky directory is refused, though opening it is not.
            Create::IfMissing => {
                for _ in 0..MAKE_TRIES {
                    match open() {
                        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                        // Perhaps it was made just now, and its group is not let in yet.
                        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                            thread::park_timeout(LET_IN);
                            return open().map_err(|_| error);
                        }
                        result => return result,
                    }
                    match make() {
                        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                        Ok(file) => {
                            super::access::let_group_in(&self.fd, &file);
                            return Ok(file);
                        }
                        result => return result,
                    }
                }
                open()
            }
        }
    }

    /// Opens a plain name for reading only, so that a read-only file system will do.
    pub fn open_to_look(&self, name: &str) -> io::Result<File> {
        let flags =
            OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
        self.open_at(name, flags, Mode::empty())
    }

    /// Reading the ledger must not update its access time: on a journaling file system that waits
    /// for the journal. Only the file's owner may ask for that.
    fn open_at(&self, name: &str, flags: OFlags, mode: Mode) -> io::Result<File> {
        let open = |flags| retry_on_intr(|| rustix::fs::openat(&self.fd, name, flags, mode));
        let fd = match open(flags | NOATIME) {
            Err(Errno::PERM) if !NOATIME.is_empty() => open(flags)?,
            result => result?,
        };
        Ok(fd.into())
    }

    /// The file that a plain name refers to now; `None` if there is none.
    pub fn stat(&self, name: &str) -> io::Result<Option<Stat>> {
        match retry_on_intr(|| rustix::fs::statat(&self.fd, name, AtFlags::SYMLINK_NOFOLLOW)) {
            Ok(stat) => Ok(Some(super::convert(&stat))),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Puts `from` in the place of `to`, atomically.
    pub fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        Ok(retry_on_intr(|| rustix::fs::renameat(&self.fd, from, &self.fd, to))?)
    }

    /// Removes a plain name, if it exists.
    pub fn remove(&self, name: &str) -> io::Result<()> {
        match retry_on_intr(|| rustix::fs::unlinkat(&self.fd, name, AtFlags::empty())) {
            Err(errno) if errno != Errno::NOENT => Err(errno.into()),
            _ => Ok(()),
        }
    }
}
