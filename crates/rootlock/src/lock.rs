//! The handle of a held lock.

use std::fmt;
use std::sync::Arc;

use crate::lease::Lease;
use crate::{LostReason, Mode, Released};

/// A held lock. Dropping it releases it.
#[must_use = "dropping a lock releases it"]
pub struct Lock {
    lease: Arc<Lease>,
}

impl Lock {
    pub(crate) fn new(lease: Arc<Lease>) -> Self {
        Self { lease }
    }

    pub(crate) fn lease(&self) -> Arc<Lease> {
        Arc::clone(&self.lease)
    }

    /// The fencing token: strictly greater than the token of every earlier grant of this lock, to
    /// anybody.
    pub fn token(&self) -> u64 {
        self.lease.grant.token
    }

    /// How it is held.
    pub fn mode(&self) -> Mode {
        self.lease.mode
    }

    /// Whether the lock has not been found lost.
    pub fn is_held(&self) -> bool {
        self.lost().is_none()
    }

    /// Why it was lost, if that is known. Touches a file only when a beat is overdue.
    pub fn lost(&self) -> Option<LostReason> {
        self.lease.lost()
    }

    /// Stops and joins the heartbeat, releases the kernel lock and closes the descriptor, in that
    /// order. Does not block on a local file system. A lost lock is not an error here.
    pub fn unlock(self) -> Released {
        self.lease.release()
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Nobody is left to tell, and releasing again does nothing.
        let _ = self.lease.release();
    }
}

impl fmt::Debug for Lock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lock")
            .field("path", &self.lease.entry.lock_path(&self.lease.path))
            .field("mode", &self.lease.mode)
            .field("token", &self.lease.grant.token)
            .finish_non_exhaustive()
    }
}
