//! What a lock manager tells those who use it, from threads of its own.

use crate::{Error, Holder, Lock};

/// Receives what happens to the locks and waits of one user, each by the tag that it was asked for
/// with. Called from any thread, never while
/// anything is locked that a call back into this crate would need; it must not block.
pub trait Events: Send + Sync {
    /// The lock was not free at once; told once for a wait, before it is settled.
    fn waiting(&self, tag: u64, holder: Option<&Holder>);

    /// The wait is over. Dropping the lock releases it.
    fn settled(&self, tag: u64, result: Result<Lock, Error>);

    /// A lock that is held is not one any more.
    fn lost(&self, tag: u64, reason: LostReason);

    /// A release that was left to another thread is done.
    fn released(&self, tag: u64, result: Result<(), Error>);

    /// Something that an operator wants to read.
    fn log(&self, tag: u64, level: Level, message: &str, details: &Details);
}

/// Why a lock was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LostReason {
    /// The lock file's name stands for another file: somebody took the lock over, or removed it.
    Hijacked,
    /// The file could not be refreshed for so long that another process may take the lock over.
    HeartbeatFailed,
}

impl LostReason {
    /// The name that users match.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hijacked => "hijacked",
            Self::HeartbeatFailed => "heartbeat-failed",
        }
    }
}

/// What is logged when a lock was taken from a holder that had not let go of it; comes before the
/// grant.
pub const TOOK_OVER: &str = "took over a stale lock";

/// How much an operator should care.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Reach knowing.
    Warn,
    /// Somebody's assumption does not hold any more.
    Error,
}

/// The facts that go with a message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Details {
    facts: Vec<(&'static str, String)>,
}

impl Details {
    pub(crate) fn with(mut self, name: &'static str, value: &str) -> Self {
        self.facts.push((name, value.to_owned()));
        self
    }

    /// Names and values, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.facts.iter().map(|(name, value)| (*name, value.as_str()))
    }
}
