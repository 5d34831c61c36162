//! The locks of a root that were used last: they keep their lock files and guards open until the next use. A lock in use needs no
//! place here; the registry finds it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::entry::LockEntry;

/// The most locks of one root.
const MOST: usize = 16;

/// The most of all roots together, beyond one for each: so many pairs of descriptors may be open for nothing.
const SPARE: usize = 64;

/// How many there are of those.
static SPARES: AtomicUsize = AtomicUsize::new(0);

#[derive(Default)]
pub(crate) struct Recent {
    /// The one that was used last is last.
    entries: Vec<Arc<LockEntry>>,
}

impl Recent {
    /// The lock of this name, which is used now.
    pub(crate) fn find(&mut self, file_name: &str) -> Option<Arc<LockEntry>> {
        let is_it = |entry: &Arc<LockEntry>| &*entry.files.names.lock == file_name;
        let at = self.entries.iter().rposition(is_it)?;
        self.entries[at..].rotate_left(1);
        self.entries.last().cloned()
    }

    /// A lock that was not there, and is used now. Returns the one that makes room for it.
    pub(crate) fn add(&mut self, entry: Arc<LockEntry>) -> Option<Arc<LockEntry>> {
        let is_full = !self.entries.is_empty() && (self.entries.len() >= MOST || !take_spare());
        let oldest = is_full.then(|| self.entries.remove(0));
        self.entries.push(entry);
        oldest
    }
}

impl Drop for Recent {
    fn drop(&mut self) {
        SPARES.fetch_sub(self.entries.len().saturating_sub(1), Ordering::Relaxed);
    }
}

fn take_spare() -> bool {
    let take = |spares| (spares < SPARE).then_some(spares + 1);
    SPARES.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok()
}
