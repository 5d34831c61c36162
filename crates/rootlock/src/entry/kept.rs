//! The lock file that stays open, unlocked, for as long as its directory is used: opening and closing
//! it takes longer than locking it.

use rootlock_protocol::lockfile::LockFile;
use rootlock_protocol::run::Paused;
use rootlock_sys::sync::{self, Mutex};

/// An open lock file. Its name may refer to another one by now, which its user must check.
pub(super) struct Kept {
    pub(super) file: LockFile,
    /// The last grant's run.
    pub(super) run: Option<Paused>,
}

#[derive(Default)]
pub(super) struct KeptFile {
    kept: Mutex<Option<Kept>>,
}

impl KeptFile {
    pub(super) fn take(&self) -> Option<Kept> {
        sync::lock(&self.kept).take()
    }

    /// Keeps a file, if there is none yet.
    pub(super) fn put(&self, kept: Kept) {
        let mut slot = sync::lock(&self.kept);
        // Closed outside the mutex.
        let surplus = match &*slot {
            Some(_) => Some(kept),
            None => slot.replace(kept),
        };
        drop(slot);
        drop(surplus);
    }
}
