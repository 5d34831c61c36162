//! How a lock is acquired and held.

use std::path::Path;
use std::time::Duration;

use rootlock_protocol::{Names, Terms};

use crate::{Error, Mode, Operation};

/// The times of a lease, whether to wait, and whether another holder's lease may be ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// How often the lock file's modification time is refreshed while the lock is held.
    /// Default: 10 s. Minimum: [`Options::MIN_HEARTBEAT`].
    pub heartbeat: Duration,
    /// How long a lock file must have been left alone to count as abandoned. A holder that could
    /// not refresh it for `stale - heartbeat` counts its own lock as lost. Default: 30 s. Minimum:
    /// 3 × `heartbeat`.
    pub stale: Duration,
    /// Whether to take over an abandoned lock, or to wait for the kernel to free it. Default: yes.
    pub recover: bool,
    /// Whether to wait for a held lock, or to fail. Default: wait.
    pub wait: bool,
}

impl Options {
    /// The defaults.
    pub const DEFAULT: Self = Self {
        heartbeat: Terms::DEFAULT.heartbeat,
        stale: Terms::DEFAULT.stale,
        recover: true,
        wait: true,
    };

    /// The shortest interval between two beats.
    pub const MIN_HEARTBEAT: Duration = Terms::MIN_HEARTBEAT;

    /// `stale` is at least this many heartbeats: one may be late, and one may just have been
    /// missed.
    pub const MIN_STALE_IN_HEARTBEATS: u32 = Terms::MIN_STALE_IN_HEARTBEATS;

    /// Whether these times can be kept to.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`](crate::ErrorKind::InvalidArgument): says what is expected.
    pub fn check(&self, root: &Path) -> Result<(), Error> {
        let invalid = |what| Error::invalid(Operation::Acquire, root, what);
        self.terms().check().map_err(invalid)
    }

    pub(crate) fn terms(&self) -> Terms {
        Terms { heartbeat: self.heartbeat, stale: self.stale }
    }
}

impl Default for Options {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// A request for a lock.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The lock file's name, a plain one. Default: `.lock`.
    pub file_name: &'a str,
    /// Default: exclusive.
    pub mode: Mode,
    /// Times, takeover, waiting.
    pub options: Options,
    /// Whether [`Events::waiting`](crate::Events::waiting) is wanted.
    pub notify_waiting: bool,
    /// Whether [`Events::log`](crate::Events::log) is wanted. A warning that is logged only once waits for a request
    /// that has a logger.
    pub has_logger: bool,
}

impl Default for Request<'_> {
    fn default() -> Self {
        Self {
            file_name: Names::DEFAULT,
            mode: Mode::Exclusive,
            options: Options::default(),
            notify_waiting: false,
            has_logger: false,
        }
    }
}
