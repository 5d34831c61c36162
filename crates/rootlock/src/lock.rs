//! The lock in its holder's hand.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use crate::lease::Lease;
use crate::{Error, LostReason, Mode, Root};

/// A lock that is held. Dropping it releases it.
#[must_use = "dropping a lock releases it"]
pub struct Lock {
    lease: Arc<Lease>,
}

/// What became of a release.
#[derive(Debug)]
pub enum Released {
    /// It is done.
    Done(Result<(), Error>),
    /// A beat has the descriptor, or the file system may block: another thread does it, and
    /// [`Events::released`](crate::Events::released) tells.
    Later,
}

impl Lock {
    pub(crate) fn new(lease: Arc<Lease>) -> Self {
        Self { lease }
    }

    /// The fencing token: strictly greater than the token of every earlier grant of this lock,
    /// whoever it was given to.
    pub fn token(&self) -> u64 {
        self.lease.grant.token
    }

    /// How it is held.
    pub fn mode(&self) -> Mode {
        self.lease.mode
    }

    /// Why it is not held any more; `None` while it is, as far as this process can know. Told before
    /// [`Events::lost`](crate::Events::lost) is.
    pub fn lost(&self) -> Option<LostReason> {
        self.lease.lost()
    }

    /// Whether it is not known to be lost.
    pub fn is_held(&self) -> bool {
        self.lost().is_none()
    }

    /// The path of its directory, as it was given.
    pub fn root_path(&self) -> &Path {
        &self.lease.site.path
    }

    /// The name of its lock file.
    pub fn file_name(&self) -> &str {
        &self.lease.site.names.lock
    }

    /// Whether it is the lock of that name in that directory. Asks nobody.
    pub fn is_of(&self, root: &Root, file_name: &str) -> bool {
        self.lease.site.is_of(root.id(), file_name)
    }

    /// Stops and joins the heartbeat, releases the kernel lock, closes the descriptor, in that
    /// order. Does not block on a local file system. That the lock was lost is not an error here.
    pub fn unlock(self) -> Released {
        self.lease.release()
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Nobody is left to tell; a release that was done already does nothing.
        let _ = self.lease.release();
    }
}

impl fmt::Debug for Lock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lock")
            .field("path", &self.lease.site.lock_path())
            .field("mode", &self.lease.mode)
            .field("token", &self.lease.grant.token)
            .finish_non_exhaustive()
    }
}
