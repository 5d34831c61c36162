//! The queue of waiting processes, which does not exist here: the kernel lock covers every byte
//! that could be locked for it, and another file would be one more in the root.

use std::fs::File;
use std::io;

/// There is no queue.
pub fn queue_up(_guard: &File) -> io::Result<bool> {
    Ok(false)
}

/// There is nowhere to announce it.
pub fn announce(_guard: &File) {}

/// Nothing to leave.
pub fn leave(_guard: &File) {}

/// Unknown.
pub fn others_wait(_guard: &File) -> Option<bool> {
    None
}
