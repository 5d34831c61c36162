//! A directory handle: everything is opened relative to it and by a plain name.
//!
//! On FUSE and network file systems a signal may interrupt any call; that is no error of the call.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::{Errno, retry_on_intr};

use crate::sys::{Create, FileId, Locality, Stat};

/// An open directory; renaming its path does not matter any more.
#[derive(Debug)]
pub(crate) struct Dir {
    fd: OwnedFd,
}

/// For reaching into a directory the search permission is enough.
#[cfg(any(target_os = "linux", target_os = "android", target_os = "freebsd"))]
const HANDLE: OFlags = OFlags::PATH;
#[cfg(not(any(target_os = "linux", target_os = "android", target_os = "freebsd")))]
const HANDLE: OFlags = OFlags::RDONLY;

#[cfg(any(target_os = "linux", target_os = "android"))]
const NOATIME: OFlags = OFlags::NOATIME;
#[cfg(not(any(target_os = "linux", target_os = "android")))]
const NOATIME: OFlags = OFlags::empty();

impl Dir {
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let flags = HANDLE | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = retry_on_intr(|| rustix::fs::open(path, flags, Mode::empty()))?;
        Ok(Self { fd })
    }

    /// Opens a directory if that takes nothing but the kernel's memory: `None` when it would have
    /// to ask a disk or a server, or can't tell.
    #[cfg(target_os = "linux")]
    pub(crate) fn open_cached(path: &Path) -> Option<Self> {
        let flags = HANDLE | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let resolve = rustix::fs::ResolveFlags::CACHED;
        let open = || rustix::fs::openat2(rustix::fs::CWD, path, flags, Mode::empty(), resolve);
        // `EAGAIN`: not in memory, or somebody renamed something anywhere just now; then the next
        // try, which is cheap, is likely to do.
        let tries = (0..3).map(|_| open()).find(|opened| !matches!(opened, Err(Errno::AGAIN)));
        Some(Self { fd: tries?.ok()? })
    }

    /// Only Linux can tell beforehand.
    #[cfg(not(target_os = "linux"))]
    pub(crate) fn open_cached(_path: &Path) -> Option<Self> {
        None
    }

    /// Names the mount that the directory is on, and the directory, without asking a server: two
    /// equal mounts are the same one, so what is known of one holds for the other. `None` when the
    /// system can't tell.
    #[cfg(target_os = "linux")]
    pub(crate) fn mount_and_id(&self) -> Option<(u64, FileId)> {
        use rustix::fs::StatxFlags;
        /// `STATX_MNT_ID_UNIQUE`, since Linux 6.8: a number never used twice before a reboot.
        const UNIQUE: StatxFlags = StatxFlags::from_bits_retain(0x4000);
        let flags = AtFlags::EMPTY_PATH | AtFlags::STATX_DONT_SYNC;
        let stat = rustix::fs::statx(&self.fd, c"", flags, UNIQUE | StatxFlags::INO).ok()?;
        let told = StatxFlags::from_bits_retain(stat.stx_mask);
        let volume = rustix::fs::makedev(stat.stx_dev_major, stat.stx_dev_minor);
        let id = FileId { volume, index: u128::from(stat.stx_ino) };
        told.contains(UNIQUE | StatxFlags::INO).then_some((stat.stx_mnt_id, id))
    }

    #[cfg(not(target_os = "linux"))]
    pub(crate) fn mount_and_id(&self) -> Option<(u64, FileId)> {
        None
    }

    pub(crate) fn id(&self) -> io::Result<FileId> {
        Ok(super::convert(&retry_on_intr(|| rustix::fs::fstat(&self.fd))?).id)
    }

    #[cfg(any(target_os = "linux", target_os = "android"))]
    pub(crate) fn locality(&self) -> Locality {
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
        match self.kind() {
            Some(kind) if LOCAL.contains(&kind) => Locality::Local,
            _ => Locality::Remote,
        }
    }

    #[cfg(any(target_vendor = "apple", target_os = "freebsd"))]
    #[allow(clippy::unnecessary_cast, reason = "the fields' widths differ between systems")]
    pub(crate) fn locality(&self) -> Locality {
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
    pub(crate) fn locality(&self) -> Locality {
        Locality::Remote
    }

    /// Whether a network file system is known to keep one lock for all its clients, as it is
    /// usually mounted. FUSE, 9p and a virtual machine's shared folders may keep a lock in one
    /// mount, or in none.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    pub(crate) fn shares_locks(&self) -> bool {
        /// `f_type` (linux/magic.h, and the file systems' own sources).
        const SHARED: [u64; 7] = [
            0x0000_6969, // nfs
            0xfe53_4d42, // smb2, smb3
            0xff53_4d42, // smb1
            0x00c3_6400, // ceph
            0x0bd0_0bd0, // lustre
            0x0116_1970, // gfs2
            0x7461_636f, // ocfs2
        ];
        self.kind().is_some_and(|kind| SHARED.contains(&kind))
    }

    /// The field's width and sign differ between processors; magic numbers are 32 bits.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    fn kind(&self) -> Option<u64> {
        retry_on_intr(|| rustix::fs::fstatfs(&self.fd))
            .ok()
            .map(|stat| stat.f_type as u64 & 0xffff_ffff)
    }

    #[cfg(any(target_vendor = "apple", target_os = "freebsd"))]
    pub(crate) fn shares_locks(&self) -> bool {
        let Ok(stat) = rustix::fs::fstatfs(&self.fd) else { return false };
        let name = stat.f_fstypename.map(|unit| unit as u8);
        ["nfs", "smbfs"].iter().any(|known| name.starts_with(&[known.as_bytes(), &[0]].concat()))
    }

    #[cfg(not(any(
        target_os = "linux",
        target_os = "android",
        target_vendor = "apple",
        target_os = "freebsd"
    )))]
    pub(crate) fn shares_locks(&self) -> bool {
        false
    }

    /// Opens a plain name for reading, writing and locking. A symbolic link is not followed
    /// (`ELOOP`), a FIFO is not waited for, and a child process inherits nothing.
    pub(crate) fn open_file(&self, name: &str, create: Create) -> io::Result<File> {
        let flags = OFlags::RDWR
            | OFlags::NOFOLLOW
            | OFlags::CLOEXEC
            | OFlags::NONBLOCK
            | OFlags::NOCTTY
            | match create {
                Create::Never => OFlags::empty(),
                Create::IfMissing => OFlags::CREATE,
                Create::New => OFlags::CREATE | OFlags::EXCL,
            };
        self.open_at(name, flags, Mode::RUSR | Mode::WUSR)
    }

    /// Opens a plain name for looking at it only, so that a read-only file system will do.
    pub(crate) fn open_to_look(&self, name: &str) -> io::Result<File> {
        let flags =
            OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
        self.open_at(name, flags, Mode::empty())
    }

    /// Reading the ledger must not write its access time: on a journaling file system that waits
    /// for the journal. Only the file's owner may ask for that.
    fn open_at(&self, name: &str, flags: OFlags, mode: Mode) -> io::Result<File> {
        let open = |flags| retry_on_intr(|| rustix::fs::openat(&self.fd, name, flags, mode));
        let fd = match open(flags | NOATIME) {
            Err(Errno::PERM) if !NOATIME.is_empty() => open(flags)?,
            result => result?,
        };
        Ok(fd.into())
    }

    /// What a plain name stands for now; `None` when there is nothing of that name.
    pub(crate) fn stat(&self, name: &str) -> io::Result<Option<Stat>> {
        match retry_on_intr(|| rustix::fs::statat(&self.fd, name, AtFlags::SYMLINK_NOFOLLOW)) {
            Ok(stat) => Ok(Some(super::convert(&stat))),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Puts `from` in the place of `to`, in one step.
    pub(crate) fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        Ok(retry_on_intr(|| rustix::fs::renameat(&self.fd, from, &self.fd, to))?)
    }

    /// Removes a plain name; that there is none is fine.
    pub(crate) fn remove(&self, name: &str) -> io::Result<()> {
        match retry_on_intr(|| rustix::fs::unlinkat(&self.fd, name, AtFlags::empty())) {
            Err(errno) if errno != Errno::NOENT => Err(errno.into()),
            _ => Ok(()),
        }
    }
}
