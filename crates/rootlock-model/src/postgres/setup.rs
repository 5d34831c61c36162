//! What one run of the checker looks at: which protocol, how many clients, which faults.

use super::claims::{Claim, SAFETY};
use crate::setup::Timing;

/// The protocol, and the protocol with one rule changed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Variant {
    /// As the code and `docs/protocol-postgres.md` have it.
    Protocol,
    /// The lease counts from the receipt of an answer, not from the `moment` before sending.
    LeaseFromAnswer,
    /// A token that comes when its lease is over is a grant.
    NoConfirm,
    /// The token is written before the lock is asked for.
    TokenBeforeLock,
    /// The token is the row's last plus one: the clock is no base.
    NoBase,
    /// A commit is answered before it is on disk (`synchronous_commit = off`).
    EarlyCommit,
    /// Two clients share a session, as behind a transaction pooler.
    SharedSession,
    /// Another instance is not asked about.
    NoQuarantine,
    /// `write_ledger` writes the new instance at once, and quarantine comes after that.
    InstanceFirst,
    /// Quarantine lasts for one's own T, not for the row's.
    OwnQuarantine,
    /// Quarantine counts from the server's start, and a crash of its memory is none.
    SinceStart,
    /// A release leaves `held` as it is.
    KeepsHeld,
    /// Whoever gives the server's lock back clears `held`, granted or not.
    ClearsUngranted,
    /// Readers clear `held` too.
    ReadersClear,
    /// A release unlocks first, and clears `held` in a statement of its own.
    UnlockFirst,
    /// Readers write their own terms into the row, also when they are not the widest.
    LastReadersTerms,
    /// A beat that is answered is a beat, whichever session answers it.
    UncheckedBeat,
    /// A beat finds the lock of any session.
    AnybodysLock,
    /// `idle_session_timeout` is off.
    NoTimeout,
    /// The backstop goes by the waiter's own T.
    OwnBackstop,
    /// The connection is used again when the cancelled statement is answered, whether or not the
    /// cancel request is over.
    CancelForgotten,
    /// A wait that was answered with an error is taken for one without the lock.
    TrustsCancelled,
}

/// One run.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The protocol.
    pub variant: Variant,
    /// How many clients, at most [`crate::state::MOST`].
    pub clients: usize,
    /// Locks may be shared; otherwise all are exclusive.
    pub shared: bool,
    /// The usual terms.
    pub timing: Timing,
    /// Shorter terms, which a client may ask for instead.
    pub hasty: Option<Timing>,
    /// The lock was a directory's before.
    pub moved: bool,
    /// The server may restart, crash or fail over, without losing a commit.
    pub restarts: bool,
    /// A release is answered before it is on disk (its own `synchronous_commit = off`).
    pub lazy_releases: bool,
    /// Holders may release, or hand the lock over.
    pub releases: bool,
    /// Clients may die or give their connection up.
    pub crashes: bool,
    /// Programs may leave the queue.
    pub cancels: bool,
    /// The server may end any session at any time: its clock steps forward, an administrator
    /// terminates it, the connection breaks at its end.
    pub early_ends: bool,
    /// The server's clock was set back: its timeouts do not come. Waiters have a backstop.
    pub stuck_clock: bool,
    /// What is sent after a session has ended may be answered by another one.
    pub reroutes: bool,
    /// States that differ only in the clients' numbers count as one.
    pub symmetry: bool,
    /// What is checked.
    pub claims: Vec<Claim>,
}

impl Setup {
    /// The protocol with exclusive locks, and all that may happen to well-behaved clients.
    pub fn protocol(clients: usize) -> Self {
        Self {
            variant: Variant::Protocol,
            clients,
            shared: false,
            timing: Timing::SHORT,
            hasty: None,
            moved: false,
            restarts: true,
            lazy_releases: false,
            releases: true,
            crashes: true,
            cancels: true,
            early_ends: false,
            stuck_clock: false,
            reroutes: false,
            symmetry: true,
            claims: SAFETY.to_vec(),
        }
    }
}
