//! The immediate answer to a request for a lock.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use super::LockEntry;
use rootlock_sys::sync;

use crate::Lock;
use crate::lease::Lease;
use crate::queue::Key;

/// The answer to a request.
#[derive(Debug)]
pub enum Acquired<L = Lock, W = Wait> {
    /// The lock was free.
    Now(L),
    /// [`Events::settled`](crate::Events::settled) follows.
    Later(W),
}

/// A pending wait. Dropping it does not end it.
#[derive(Clone)]
pub struct Wait {
    entry: Arc<LockEntry>,
    path: Arc<Path>,
    key: Key,
}

impl Wait {
    pub(crate) fn new(entry: &Arc<LockEntry>, path: &Arc<Path>, key: Key) -> Self {
        Self { entry: Arc::clone(entry), path: Arc::clone(path), key }
    }

    /// Its place in the line of its lock.
    pub(crate) fn key(&self) -> Key {
        self.key
    }

    /// Whether it can't end before that lease of this process does. A reader that gives way to a
    /// writer of another process, which waits for that lease, goes ahead from now on.
    pub(crate) fn waits_for(&self, lease: &Lease) -> bool {
        if !lease.entry.is_lock_of(&self.entry) {
            return false;
        }
        let waits = sync::lock(&self.entry.state).queue.waits_for(self.key, lease.mode);
        if !waits {
            self.entry.goes_ahead(self.key);
        }
        waits
    }

    /// Whether it can't end before that other wait has, and the lease that comes of it.
    pub(crate) fn is_behind(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.entry, &other.entry)
            && sync::lock(&self.entry.state).queue.waits_behind(self.key, other.key)
    }

    /// Gives up its place for one at the end of the line: the wait that goes on there; `None` if it is not
    /// in line any more.
    pub(crate) fn fall_back(&self) -> Option<Self> {
        let key = self.entry.fall_back(self.key)?;
        Some(Self { key, ..self.clone() })
    }

    /// Ends the wait if it has not ended yet. [`Events::settled`](crate::Events::settled) reports
    /// [`ErrorKind::Cancelled`](crate::ErrorKind::Cancelled) once nothing of it is left in the
    /// kernel. Does not block.
    pub fn cancel(&self) {
        self.entry.cancel(self.key);
    }
}

impl fmt::Debug for Wait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.entry.lock_path(&self.path);
        f.debug_struct("Wait").field("path", &path).finish_non_exhaustive()
    }
}
