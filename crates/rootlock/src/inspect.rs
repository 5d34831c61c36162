//! Inspects a lock without taking it.

use std::time::Duration;

use rootlock_protocol::inspect::{self, LockOwner, LockState};

use crate::Mode;
use crate::error::{Error, FaultExt, Operation};
use crate::root::Root;

impl Root {
    /// Inspects a lock without taking it. Creates nothing.
    ///
    /// Blocks for as long as the file system does. Where the system does not report the holder of a
    /// file's lock, this tries the lock for a moment, inside the guard, so that no attempt of this
    /// crate fails because of it; an attempt of another program may.
    ///
    /// # Errors
    /// [`ErrorKind::Io`](crate::ErrorKind::Io) when the files can't be read.
    pub fn inspect(&self, file_name: &str, stale: Duration) -> Result<LockState, Error> {
        let entry = self.entry(file_name)?;
        let mut state = inspect::look(&entry.files, stale)
            .map_err(|fault| fault.into_error(Operation::Inspect, self.path()))?;
        if let (Some(waiters), Some((mode, callers))) = (&mut state.waiters, entry.callers()) {
            count_callers(waiters, mode, callers);
        }
        Ok(state)
    }
}

/// Tells how many callers of this process wait. Its own entry is missing if nobody waits in the
/// kernel: it holds the lock itself, or has only just begun to wait.
fn count_callers(waiters: &mut Vec<LockOwner>, mode: Mode, callers: usize) {
    let own = std::process::id();
    let index = waiters.iter().position(|waiter| waiter.pid == own).unwrap_or_else(|| {
        waiters.push(LockOwner::new(own, mode));
        waiters.len() - 1
    });
    waiters[index].callers = Some(callers);
}
