//! Who may use a file: its owner, its group, its mode and its access list.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{Gid, Mode, Stat, Uid, fchmod, fchown, fstat};
use rustix::io::retry_on_intr;

const PERMISSIONS: u32 = 0o7777;
const OF_ALL: u32 = 0o777;
const OF_GROUP: u32 = 0o070;
const OF_OTHERS: u32 = 0o007;
const OF_OWNER: u32 = 0o600;
const OF_GROUP_TO_LOCK: u32 = 0o060;
const GROUP_WRITES: u32 = 0o020;
const STICKY: u32 = 0o1000;

/// Gives `to` exactly the access rights of `from`; fails where the system does not allow that.
pub fn copy_access(from: &File, to: &File) -> io::Result<()> {
    let wanted = stat(from)?;
    let own = stat(to)?;
    let owner = (own.st_uid != wanted.st_uid).then(|| Uid::from_raw(wanted.st_uid));
    let group = (own.st_gid != wanted.st_gid).then(|| Gid::from_raw(wanted.st_gid));
    if owner.is_some() || group.is_some() {
        retry_on_intr(|| fchown(to, owner, group))?;
    }
    list::copy(from, to)?;
    set_mode(to, permissions(&wanted))?;
    // Some file systems accept what they don't keep.
    let now = stat(to)?;
    let same = (now.st_uid, now.st_gid, permissions(&now))
        == (wanted.st_uid, wanted.st_gid, permissions(&wanted));
    if same { Ok(()) } else { Err(rustix::io::Errno::PERM.into()) }
}

/// The same as far as the system allows, for a new file beside the other; whoever creates it may
/// always use it.
pub fn share_access(from: &File, to: &File) {
    let (Ok(wanted), Ok(own)) = (stat(from), stat(to)) else { return };
    let (owner, group) = (Uid::from_raw(wanted.st_uid), Gid::from_raw(wanted.st_gid));
    let mut mode = permissions(&wanted) & OF_ALL | OF_OWNER;
    if (own.st_uid, own.st_gid) != (wanted.st_uid, wanted.st_gid)
        && retry_on_intr(|| fchown(to, Some(owner), Some(group))).is_err()
        && own.st_gid != wanted.st_gid
        && retry_on_intr(|| fchown(to, None, Some(group))).is_err()
    {
        // The file has another group than intended, whose members count as others.
        mode = mode & !OF_GROUP | (mode & OF_OTHERS) << 3;
    } else {
        let _ = list::copy(from, to);
    }
    let _ = set_mode(to, mode);
}

/// Lets a directory's group use a file that was made in it, whatever the umask, if the group may write
/// in the directory: then it could remove the file and make its own. Not in a sticky directory, where
/// it could not.
pub(super) fn let_group_in(dir: &OwnedFd, file: &File) {
    let (Ok(dir), Ok(own)) = (stat(dir), stat(file)) else { return };
    let shared = permissions(&dir) & (GROUP_WRITES | STICKY) == GROUP_WRITES;
    if shared && own.st_gid == dir.st_gid {
        // Without it the file is still its maker's.
        let _ = set_mode(file, permissions(&own) | OF_GROUP_TO_LOCK);
    }
}

fn stat(file: impl AsFd) -> io::Result<Stat> {
    Ok(retry_on_intr(|| fstat(&file))?)
}

#[allow(clippy::unnecessary_cast, clippy::useless_conversion, reason = "widths differ")]
fn permissions(stat: &Stat) -> u32 {
    stat.st_mode as u32 & PERMISSIONS
}

fn set_mode(file: &File, mode: u32) -> io::Result<()> {
    if permissions(&stat(file)?) == mode {
        return Ok(());
    }
    Ok(retry_on_intr(|| fchmod(file, Mode::from_raw_mode(mode as _)))?)
}

/// POSIX access lists, as Linux keeps them.
#[cfg(any(target_os = "linux", target_os = "android"))]
mod list {
    use std::fs::File;
    use std::io;

    use rustix::fs::{XattrFlags, fgetxattr, fremovexattr, fsetxattr};
    use rustix::io::Errno;

    const NAME: &std::ffi::CStr = c"system.posix_acl_access";

    pub(super) fn copy(from: &File, to: &File) -> io::Result<()> {
        match (get(from)?, get(to)?) {
            (wanted, own) if wanted == own => Ok(()),
            (Some(list), _) => Ok(fsetxattr(to, NAME, &list, XattrFlags::empty())?),
            // The file inherited one from the directory.
            (None, _) => Ok(fremovexattr(to, NAME)?),
        }
    }

    fn get(file: &File) -> io::Result<Option<Vec<u8>>> {
        // The largest size of an attribute.
        let mut list = vec![0; 1 << 16];
        match fgetxattr(file, NAME, &mut list[..]) {
            Ok(length) => {
                list.truncate(length);
                Ok(Some(list))
            }
            // No list; or a file system without lists.
            Err(Errno::NODATA | Errno::OPNOTSUPP | Errno::NOSYS) => Ok(None),
            Err(errno) => Err(errno.into()),
        }
    }
}

#[cfg(target_vendor = "apple")]
mod list {
    use std::fs::File;
    use std::io;
    use std::os::fd::AsRawFd;
    use std::ptr;

    pub(super) fn copy(from: &File, to: &File) -> io::Result<()> {
        // SAFETY: both descriptors are open for the call, and a null state is allowed.
        let result = unsafe {
            libc::fcopyfile(from.as_raw_fd(), to.as_raw_fd(), ptr::null_mut(), libc::COPYFILE_ACL)
        };
        if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }
}

/// Lists are not copied elsewhere.
#[cfg(not(any(target_os = "linux", target_os = "android", target_vendor = "apple")))]
mod list {
    use std::fs::File;
    use std::io;

    #[expect(clippy::unnecessary_wraps, reason = "it can fail elsewhere")]
    pub(super) fn copy(_from: &File, _to: &File) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::fs::File;

    use rustix::fs::{Mode, XattrFlags, fchmod, fgetxattr, fsetxattr};

    use super::{copy_access, permissions, stat};

    const LIST: &str = "system.posix_acl_access";

    /// A certain user may read and write it, beside its owner.
    fn list() -> Vec<u8> {
        const ANYBODY: u32 = u32::MAX;
        let entries = [
            (0x01_u16, 6_u16, ANYBODY),
            (0x02, 6, 65_533),
            (0x04, 0, ANYBODY),
            (0x10, 6, ANYBODY),
            (0x20, 0, ANYBODY),
        ];
        let entry = |(tag, permissions, id): (u16, u16, u32)| {
            [&tag.to_le_bytes()[..], &permissions.to_le_bytes(), &id.to_le_bytes()].concat()
        };
        [2_u32.to_le_bytes().to_vec(), entries.map(entry).concat()].concat()
    }

    fn list_of(file: &File) -> Option<Vec<u8>> {
        let mut bytes = vec![0; 1_000];
        let length = fgetxattr(file, LIST, &mut bytes[..]).ok()?;
        bytes.truncate(length);
        Some(bytes)
    }

    #[test]
    fn an_access_list_is_copied_and_an_inherited_one_is_removed() {
        let files = || (tempfile::tempfile().expect("makes"), tempfile::tempfile().expect("makes"));
        let (from, to) = files();
        if fsetxattr(&from, LIST, &list(), XattrFlags::empty()).is_err() {
            // A file system without lists has nothing to lose.
            return;
        }
        copy_access(&from, &to).expect("copies");
        assert_eq!(list_of(&to), Some(list()));
        let (from, to) = files();
        fsetxattr(&to, LIST, &list(), XattrFlags::empty()).expect("as above");
        copy_access(&from, &to).expect("copies");
        assert_eq!(list_of(&to), None);
    }

    #[test]
    fn a_mode_is_copied_whatever_the_umask() {
        for mode in [0o600, 0o660, 0o666, 0o444] {
            let from = tempfile::tempfile().expect("makes");
            let to = tempfile::tempfile().expect("makes");
            fchmod(&from, Mode::from_raw_mode(mode)).expect("its own");
            copy_access(&from, &to).expect("copies");
            assert_eq!(permissions(&stat(&to).expect("open")), mode);
        }
    }
}
