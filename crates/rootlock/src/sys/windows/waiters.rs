//! Whether another process waits. Nobody can say so here: the kernel lock covers every byte that
//! could be locked for it, and another file would be one more in the root.

use std::fs::File;

/// Tells nobody.
pub(crate) fn announce(_guard: &File, _waiting: bool) {}

/// Not known.
pub(crate) fn others_wait(_guard: &File) -> Option<bool> {
    None
}
