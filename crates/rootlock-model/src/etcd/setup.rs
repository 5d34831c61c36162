//! What one run of the checker looks at: which protocol, how many clients, which faults.

use super::claims::{Claim, SAFETY};
use crate::setup::Timing;

/// The protocol, and the protocol with one rule changed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Variant {
    /// As the code and `docs/protocol-etcd.md` have it.
    Protocol,
    /// The lease counts from the receipt of an answer, not from the `moment` before sending.
    LeaseFromAnswer,
    /// Whoever is first in line is granted the lock, however old its last beat is.
    NoConfirm,
    /// Whoever is told that its blocker left is granted the lock.
    NoLook,
    /// Nobody asks whether the lease of a key is alive.
    UncheckedBeat,
    /// The watch begins with the revision that was read, not with the next one.
    WatchFromRead,
    /// The watch begins when it is made.
    WatchFromNow,
    /// Nobody pings: a watch on a paused member is silent.
    NoPings,
    /// An `enqueue` that comes after its `release` or `cancel` is carried out.
    NoFence,
    /// A process hands its key over to the next in line inside of it.
    HandsOver,
    /// The revision alone is the token.
    NoBase,
    /// A restored cluster gets no higher base.
    NoRaise,
    /// A restored cluster is used at once.
    NoQuarantine,
    /// `base` is raised before the quarantine.
    RaisesFirst,
    /// Quarantine lasts for one's own T, not for the widest that `base` has seen.
    OwnQuarantine,
    /// `base` does not say which cluster's quarantine has begun: that of an earlier restore, which a snapshot shows, counts too.
    AnyQuarantine,
    /// A session goes on in a restored cluster.
    NoClusterCheck,
    /// Whoever says nothing is buried.
    BuriesTheFrozen,
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
    /// The leader may change: each lease gets its full TTL again.
    pub elections: bool,
    /// The cluster may be restored from an earlier snapshot.
    pub restores: bool,
    /// That snapshot may be so old that it does not know the widest terms.
    pub old_snapshots: bool,
    /// A member may be paused: its watches are silent.
    pub pauses: bool,
    /// Clients may send `enqueue` twice.
    pub retries: bool,
    /// Holders may release.
    pub releases: bool,
    /// Clients may die.
    pub crashes: bool,
    /// Programs may leave the queue.
    pub cancels: bool,
    /// Leases may end at any time: a stuck leader before 3.5.13, somebody who revokes them or
    /// deletes keys.
    pub early_ends: bool,
    /// Renewing a lease that was revoked succeeds: before 3.5.23 and 3.6.5.
    pub renews_revoked: bool,
    /// States that differ only in the clients' numbers count as one.
    pub symmetry: bool,
    /// What is checked.
    pub claims: Vec<Claim>,
}

impl Setup {
    /// The protocol with exclusive locks, and all that may happen to well-behaved clients but a
    /// restore.
    pub fn protocol(clients: usize) -> Self {
        Self {
            variant: Variant::Protocol,
            clients,
            shared: false,
            timing: Timing::SHORT,
            hasty: None,
            moved: false,
            elections: true,
            restores: false,
            old_snapshots: false,
            pauses: true,
            retries: false,
            releases: true,
            crashes: true,
            cancels: true,
            early_ends: false,
            renews_revoked: false,
            symmetry: true,
            claims: SAFETY.to_vec(),
        }
    }
}
