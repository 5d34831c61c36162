//! The reach of a lock on a file system: which other processes it excludes. Information for people;
//! it decides only whether to warn.

use crate::Locality;

/// Where a directory's storage is, as the system reports it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileSystem {
    /// The system's name for its type: `ext4`, `nfs4`, `fuse.sshfs`, `NTFS`; empty if unknown.
    pub kind: String,
    /// Its mount options, where the system reports them.
    pub options: String,
    /// Which processes a lock there excludes.
    pub reach: Reach,
}

/// Which processes a lock excludes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// All processes of this machine: it is the kernel's own file system.
    Machine,
    /// All machines that mount it: the server keeps the locks.
    Server,
    /// Only processes that use this same mount: through another mount of the same files, here or
    /// elsewhere, the same lock can be acquired again.
    Mount,
    /// Unknown; only a test with two clients can tell.
    Unknown,
}

impl Reach {
    /// The name that users match.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Machine => "machine",
            Self::Server => "server",
            Self::Mount => "mount",
            Self::Unknown => "unknown",
        }
    }
}

impl FileSystem {
    pub fn new(kind: String, options: String, locality: Locality) -> Self {
        let reach = judge(&kind, &options, locality);
        Self { kind, options, reach }
    }
}

/// From the kernel's own documentation of `flock` on each file system.
fn judge(kind: &str, options: &str, locality: Locality) -> Reach {
    let has = |wanted: &[&str]| options.split(',').any(|option| wanted.contains(&option));
    match kind {
        _ if locality == Locality::Local => Reach::Machine,
        // With such an option the client keeps the locks to itself.
        "nfs" | "nfs4" if has(&["nolock", "local_lock=flock", "local_lock=all"]) => Reach::Mount,
        "cifs" | "smb3" if has(&["nobrl"]) => Reach::Mount,
        "lustre" if !has(&["flock"]) => Reach::Mount,
        "ocfs2" if has(&["localflocks"]) => Reach::Mount,
        "nfs" | "nfs4" | "cifs" | "smb3" | "smbfs" | "ceph" | "gfs2" | "ocfs2" | "lustre"
        | "fuse.glusterfs" | "fuse.ceph" | "fuse.ceph-fuse" => Reach::Server,
        // A share, as Windows reports it.
        "NTFS" | "ReFS" | "CSVFS" if has(&["remote"]) => Reach::Server,
        // If the FUSE server keeps no locks, the kernel does, for this one mount only.
        "fuse" | "fuseblk" | "virtiofs" | "9p" | "vboxsf" | "prl_fs" => Reach::Mount,
        _ if kind.starts_with("fuse.") => Reach::Mount,
        _ => Reach::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_on_a_local_file_system_reaches_the_machine() {
        assert_eq!(judge("ext4", "rw,relatime", Locality::Local), Reach::Machine);
    }

    #[test]
    fn a_server_keeps_locks_unless_its_client_was_told_to() {
        for (kind, options, reach) in [
            ("nfs4", "rw,vers=4.2,local_lock=none", Reach::Server),
            ("nfs", "rw,vers=3,nolock", Reach::Mount),
            ("nfs4", "rw,local_lock=all", Reach::Mount),
            ("nfs", "rw,local_lock=posix", Reach::Server),
            ("cifs", "rw,vers=3.1.1", Reach::Server),
            ("cifs", "rw,nobrl", Reach::Mount),
            ("lustre", "rw,flock", Reach::Server),
            ("lustre", "rw,localflock", Reach::Mount),
            ("NTFS", "remote", Reach::Server),
        ] {
            assert_eq!(judge(kind, options, Locality::Remote), reach, "{kind} {options}");
        }
    }

    #[test]
    fn two_fuse_mounts_do_not_exclude_each_other() {
        assert_eq!(judge("fuse.sshfs", "rw", Locality::Remote), Reach::Mount);
    }

    #[test]
    fn the_reach_of_an_unknown_file_system_is_unknown() {
        assert_eq!(judge("afs", "", Locality::Remote), Reach::Unknown);
        assert_eq!(judge("", "", Locality::Remote), Reach::Unknown);
    }
}
