//! What the checker is asked to refute, and what it must find for that to mean something.

use stateright::Property;

use super::protocol::Etcd;
use super::state::{Client, Phase, State};

/// A statement about every state, or (`Sees…`) about some state.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Claim {
    /// The promise of the lease.
    ExclusiveInLease,
    /// The promise that is left when leases end early.
    ExclusiveWithKey,
    /// E1: whoever holds the lock, and has its key, is first in line.
    FirstInLine,
    /// E2: while a lease runs, the cluster has its key. Not with restores and early ends.
    LeasedHasKey,
    /// E3 and E4: a token is higher than those of all earlier grants that it excludes.
    TokensRise,
    /// Whoever is granted the lock can still count on it.
    GrantedInLease,
    /// A watch that is there when its blocker leaves is told at once.
    ToldAtOnce,
    /// A lease is over, and another client has the lock.
    SeesTakeover,
    /// Somebody is quarantined.
    SeesQuarantine,
    /// Two share the lock.
    SeesSharing,
    /// Whoever is first in line has to beat before it can count on it.
    SeesConfirm,
    /// A key is put when its client is no more.
    SeesLateKey,
}

/// What is promised to those who keep to it.
pub const SAFETY: [Claim; 6] = [
    Claim::ExclusiveInLease,
    Claim::ExclusiveWithKey,
    Claim::FirstInLine,
    Claim::TokensRise,
    Claim::GrantedInLease,
    Claim::ToldAtOnce,
];

impl Claim {
    /// The claim for the checker.
    pub fn property(self) -> Property<Etcd> {
        let always = Property::always;
        let sometimes = Property::sometimes;
        match self {
            Self::ExclusiveInLease => {
                always("no two incompatible holders inside their leases", |model: &Etcd, s| {
                    conflict(s, |c| model.is_in_lease(c)).is_none()
                })
            }
            Self::ExclusiveWithKey => {
                always("no two incompatible holders with a key", |_, s: &State| {
                    conflict(s, |c| c.is_holder() && c.key && !c.stale).is_none()
                })
            }
            Self::FirstInLine => always("a holder with a key is first in line", |_, s: &State| {
                let first = |i: usize| s.blocker(i).is_none();
                let holders = s.clients.iter().enumerate();
                holders.filter(|(_, c)| c.is_holder() && c.key).all(|(i, _)| first(i))
            }),
            Self::LeasedHasKey => {
                always("the cluster keeps the key of a lease", |model: &Etcd, s: &State| {
                    s.clients.iter().all(|c| !model.is_in_lease(c) || c.key)
                })
            }
            Self::TokensRise => always("tokens rise", |_, s: &State| !s.token_fell),
            Self::GrantedInLease => {
                always("no grant comes when its lease is over", |_, s: &State| !s.granted_late)
            }
            Self::ToldAtOnce => always("a watch is told at once", |_, s: &State| !s.told_late),
            Self::SeesTakeover => sometimes("a lock changes hands", |_, s: &State| {
                s.clients.iter().any(|c| c.is_holder() && !c.key)
                    && s.clients.iter().any(|c| c.is_holder() && c.key)
            }),
            Self::SeesQuarantine => sometimes("somebody is quarantined", |_, s: &State| {
                s.clients.iter().any(|c| c.phase == Phase::Quarantined)
            }),
            Self::SeesSharing => sometimes("two share the lock", |_, s: &State| {
                s.clients.iter().filter(|c| c.is_holder() && c.key).count() == 2
            }),
            Self::SeesConfirm => sometimes("the first in line beats first", |_, s: &State| {
                s.clients.iter().any(|c| c.phase == Phase::Confirming && c.key)
            }),
            Self::SeesLateKey => sometimes("a key is left", |_, s: &State| {
                s.clients.iter().any(|c| c.phase == Phase::Gone && c.key)
            }),
        }
    }
}

/// Two that count and must not be there together.
fn conflict(s: &State, counts: impl Fn(&Client) -> bool) -> Option<(usize, usize)> {
    let holders = || (0..s.clients.len()).filter(|&i| counts(&s.clients[i]));
    holders()
        .flat_map(|i| holders().map(move |j| (i, j)))
        .find(|&(i, j)| i < j && !s.clients[i].mode.is_compatible_with(s.clients[j].mode))
}
