//! The events that the lock manager delivers to its users, from threads of its own.

use crate::{Error, Holder, Lock};

/// Receives the events of one user's locks and waits, each with the tag of its request. Called from
/// any thread, but never while a mutex is held that a call back into this crate would need. Must
/// not block.
pub trait Events<L = Lock>: Send + Sync {
    /// The lock was not free at once. Called once for a wait, before it is settled.
    fn waiting(&self, tag: u64, holder: Option<&Holder>);

    /// The wait is over. Dropping the lock releases it.
    fn settled(&self, tag: u64, result: Result<L, Error>);

    /// A held lock was lost.
    fn lost(&self, tag: u64, reason: LostReason);

    /// A release that was left to another thread is done.
    fn released(&self, tag: u64, result: Result<(), Error>);

    /// Something that an operator should know.
    fn log(&self, tag: u64, level: Level, message: &str, details: &Details);
}

/// The result of a release.
#[derive(Debug)]
pub enum Released {
    /// Done.
    Done(Result<(), Error>),
    /// A beat has the descriptor, or the file system may block: another thread finishes it, and
    /// [`Events::released`] is called then.
    Later,
}

/// Why a lock was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LostReason {
    /// The lock file's name refers to another file: the lock was taken over, or the file was
    /// removed.
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

/// The message logged, before the grant, when a lock was taken over from a holder that had not
/// released it.
pub const TOOK_OVER: &str = "took over a stale lock";

/// How much an operator should care.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Reach knowing.
    Warn,
    /// An assumption of the program no longer holds.
    Error,
}

/// The facts that go with a message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Details {
    facts: Vec<(&'static str, String)>,
}

impl Details {
    /// The same with another fact.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: &str) -> Self {
        self.facts.push((name, value.to_owned()));
        self
    }

    /// Names and values, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.facts.iter().map(|(name, value)| (*name, value.as_str()))
    }
}
