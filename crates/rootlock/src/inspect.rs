//! Inspects a lock without taking it.

use std::time::Duration;

use rootlock_protocol::inspect::{self, LockState};

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
        inspect::look(&entry.files, stale)
            .map_err(|fault| fault.into_error(Operation::Inspect, self.path()))
    }
}
