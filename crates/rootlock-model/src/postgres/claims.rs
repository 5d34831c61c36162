//! What the checker is asked to refute, and what it must find for that to mean something.

use stateright::Property;

use super::protocol::Postgres;
use super::state::{Answer, Client, Phase, State};

/// A statement about every state, or (`Sees…`) about some state.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Claim {
    /// The promise of the lease; with restarts, P3 too.
    ExclusiveInLease,
    /// P1: the promise that is left when sessions end early.
    ExclusiveConnected,
    /// P2: while a lease runs, the server has its session. Not with restarts and early ends.
    LeasedIsConnected,
    /// P4: a token is higher than those of all earlier grants that it excludes.
    TokensRise,
    /// Whoever is granted the lock can still count on it.
    GrantedInLease,
    /// Nobody sits out a lease that was given back.
    QuarantinedForAReason,
    /// A lock that was given back is not locked.
    NothingStranded,
    /// A holder's session has ended, and another client has the lock.
    SeesTakeover,
    /// Somebody is quarantined.
    SeesQuarantine,
    /// Two share the lock.
    SeesSharing,
    /// A token comes when its lease is over.
    SeesLateToken,
    /// The lock is granted to a program that has just left.
    SeesCancelRace,
}

/// What is promised to those who keep to it.
pub const SAFETY: [Claim; 6] = [
    Claim::ExclusiveInLease,
    Claim::ExclusiveConnected,
    Claim::TokensRise,
    Claim::GrantedInLease,
    Claim::QuarantinedForAReason,
    Claim::NothingStranded,
];

impl Claim {
    /// The claim for the checker.
    pub fn property(self) -> Property<Postgres> {
        let always = Property::always;
        let sometimes = Property::sometimes;
        match self {
            Self::ExclusiveInLease => {
                always("no two incompatible holders inside their leases", |model: &Postgres, s| {
                    conflict(s, |c| model.is_in_lease(c)).is_none()
                })
            }
            Self::ExclusiveConnected => {
                always("no two incompatible holders with a session", |_, s| {
                    conflict(s, |c| c.is_holder() && c.session).is_none()
                })
            }
            Self::LeasedIsConnected => {
                always("the server keeps the session of a lease", |model: &Postgres, s: &State| {
                    s.clients.iter().all(|c| !model.is_in_lease(c) || c.session)
                })
            }
            Self::TokensRise => always("tokens rise", |_, s: &State| !s.token_fell),
            Self::GrantedInLease => {
                always("no grant comes when its lease is over", |_, s: &State| !s.granted_late)
            }
            Self::QuarantinedForAReason => {
                always("nobody sits out a lease that was given back", |_, s: &State| {
                    let sits = |c: &Client| c.phase == Phase::Quarantined && c.session;
                    s.unreleased || !s.clients.iter().any(sits)
                })
            }
            Self::NothingStranded => always("what was given back is not locked", |_, s: &State| {
                s.clients.iter().all(|c| c.phase != Phase::Idle || !c.has_lock)
            }),
            Self::SeesTakeover => sometimes("a lock changes hands", |_, s: &State| {
                s.clients.iter().any(|c| c.is_holder() && !c.session)
                    && s.clients.iter().any(|c| c.is_holder() && c.session)
            }),
            Self::SeesQuarantine => sometimes("somebody is quarantined", |_, s: &State| {
                s.clients.iter().any(|c| c.phase == Phase::Quarantined)
            }),
            Self::SeesSharing => sometimes("two share the lock", |_, s: &State| {
                s.clients.iter().filter(|c| c.is_holder() && c.session).count() == 2
            }),
            Self::SeesLateToken => {
                sometimes("a token comes late", |model: &Postgres, s: &State| {
                    let late = |c: &Client| c.pending > model.timing(c.terms).lease();
                    s.clients.iter().any(|c| c.answer == Some(Answer::Token) && late(c))
                })
            }
            Self::SeesCancelRace => sometimes("a grant meets a cancel", |_, s: &State| {
                let met = |c: &Client| c.phase == Phase::Cancelling && c.has_lock;
                s.clients.iter().any(met)
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
