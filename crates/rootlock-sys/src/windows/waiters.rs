//! The queue of waiting processes, which does not exist here: the kernel lock covers every byte
//! that could be locked for it, and another file would be one more in the root.

use std::fs::File;
use std::io;

use crate::Nanos;

/// There is no queue.
pub fn queue_up(_guard: &File) -> io::Result<bool> {
    Ok(false)
}

/// There is nowhere to announce it.
pub fn announce(_guard: &File) {}

/// There is nowhere to announce it.
pub fn announce_writer(_guard: &File) {}

/// Nothing to withdraw.
pub fn withdraw_writer(_guard: &File) {}

/// Not known to.
pub fn writers_wait(_guard: &File, _before: Nanos) -> bool {
    false
}

/// To nobody.
pub fn give_way(_guard: &File, _before: Nanos) -> io::Result<()> {
    Ok(())
}

/// Nothing to leave.
pub fn leave(_guard: &File) {}

/// Unknown.
pub fn others_wait(_guard: &File) -> Option<bool> {
    None
}
