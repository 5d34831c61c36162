//! Looking without taking.

use std::time::Duration;

use rootlock_protocol::inspect::{self, LockState};

use crate::error::{Error, FaultExt, Operation};
use crate::root::Root;

impl Root {
    /// Looks at a lock without taking it. Creates nothing.
    ///
    /// Blocks for as long as the file system does. Where the system does not tell who holds a
    /// file's lock, it is tried for a moment, inside the guard, so that no attempt of this crate's
    /// fails because of it; one of another program's may.
    ///
    /// # Errors
    /// [`ErrorKind::Io`](crate::ErrorKind::Io) when the files can't be read.
    pub fn inspect(&self, file_name: &str, stale: Duration) -> Result<LockState, Error> {
        let entry = self.entry(file_name)?;
        inspect::look(&entry.files, stale)
            .map_err(|fault| fault.into_error(Operation::Inspect, self.path()))
    }
}
