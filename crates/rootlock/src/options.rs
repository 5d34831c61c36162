//! How a lock is taken and kept.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use crate::{Error, Operation};

/// Shared or exclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mode {
    /// One holder, and no other of either mode.
    Exclusive,
    /// Any number of holders, none of them exclusive.
    Shared,
}

/// The times of a lease, and whether somebody else's may be ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// How often the lock file's modification time is refreshed while the lock is held.
    /// Default: 10 s. Minimum: [`Options::MIN_HEARTBEAT`].
    pub heartbeat: Duration,
    /// How long a lock file must have been left alone to count as abandoned. A holder that could
    /// not refresh it for `stale - heartbeat` counts its own lock as lost.
    /// Default: 30 s. Minimum: 3 × `heartbeat`.
    pub stale: Duration,
    /// Whether to take over an abandoned lock, or to wait for the kernel to free it. Default: yes.
    pub recover: bool,
    /// Whether to wait for a lock that somebody holds, or to fail. Default: wait.
    pub wait: bool,
}

impl Options {
    /// The shortest interval between two beats.
    pub const MIN_HEARTBEAT: Duration = Duration::from_millis(50);

    /// `stale` is at least so many heartbeats: one may be late, and one may just have been missed.
    pub const MIN_STALE_IN_HEARTBEATS: u32 = 3;

    pub(crate) fn check(&self) -> Result<(), Error> {
        let invalid = |what: String| Err(Error::invalid(Operation::Acquire, what));
        if self.heartbeat < Self::MIN_HEARTBEAT {
            return invalid(format!(
                "heartbeat must be at least {:?}, got {:?}",
                Self::MIN_HEARTBEAT,
                self.heartbeat
            ));
        }
        let least = self.heartbeat.saturating_mul(Self::MIN_STALE_IN_HEARTBEATS);
        if self.stale < least {
            return invalid(format!(
                "stale must be at least {} heartbeats, that is {least:?}, got {:?}",
                Self::MIN_STALE_IN_HEARTBEATS,
                self.stale
            ));
        }
        Ok(())
    }

    pub(crate) fn terms(&self) -> Terms {
        Terms { heartbeat: self.heartbeat, stale: self.stale }
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            heartbeat: Duration::from_secs(10),
            stale: Duration::from_secs(30),
            recover: true,
            wait: true,
        }
    }
}

/// The terms of a lease: what its holder promises, and what others wait for before they end it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Terms {
    pub(crate) heartbeat: Duration,
    pub(crate) stale: Duration,
}

impl Terms {
    /// Terms that are safe for a holder of either.
    pub(crate) fn widest(self, other: Self) -> Self {
        Self { heartbeat: self.heartbeat.max(other.heartbeat), stale: self.stale.max(other.stale) }
    }
}

/// The name of the lock file, and the names derived from it; shared, because thousands of locks have
/// the same.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Names {
    /// `L`: carries the kernel lock and, as its modification time, the heartbeat.
    pub(crate) lock: Arc<str>,
    /// `G`: held for a few calls only; its content is the ledger.
    pub(crate) guard: Arc<str>,
    /// What becomes the lock file in a takeover. Only who holds the guard touches it.
    pub(crate) temporary: Arc<str>,
}

impl Names {
    /// The lock file's name unless the caller has one.
    pub(crate) const DEFAULT: &str = ".lock";

    /// The longest name that leaves room for the derived ones within the 255 bytes that file
    /// systems allow.
    const MAX_BYTES: usize = 240;

    /// Accepts a plain file name: with a separator it could lead out of the directory.
    pub(crate) fn new(lock: &str) -> Result<Self, Error> {
        let plain = !lock.is_empty()
            && lock != "."
            && lock != ".."
            && lock.len() <= Self::MAX_BYTES
            && !lock.contains(['/', '\\', '\0', ':']);
        if !plain {
            return Err(Error::invalid(
                Operation::Acquire,
                format!(
                    "file name must be a plain name of at most {} bytes without separators, \
                     got {lock:?}",
                    Self::MAX_BYTES
                ),
            ));
        }
        static OF_DEFAULT: LazyLock<Names> = LazyLock::new(|| Names::from(Names::DEFAULT));
        Ok(if lock == Self::DEFAULT { OF_DEFAULT.clone() } else { Self::from(lock) })
    }

    fn from(lock: &str) -> Self {
        Self {
            lock: lock.into(),
            guard: format!("{lock}.guard").into(),
            temporary: format!("{lock}.next").into(),
        }
    }
}
