//! What the checker is asked to refute, and what it must find for that to mean anything.

use stateright::Property;

use crate::protocol::Lock;
use crate::solo;
use crate::state::{Phase, Process, State};

/// A statement about every state or, for `Sees…`, about some state.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Claim {
    /// The promise of the lease.
    ExclusiveInLease,
    /// The promise that remains when wall clocks lie.
    ExclusiveOnTime,
    /// A holder that was never frozen since its last refresh is alone for its whole lease.
    ExclusiveUnfrozen,
    /// No beat of a preempted holder succeeds.
    RobbedLearns,
    /// Every token is higher than all earlier ones.
    TokensRise,
    /// I1 and I2: between `check_identity` and `unlock_guard`, L's name refers to the same file.
    NameStays,
    /// I3: whoever is about to rename has watched L for the full time, during which no lease on it
    /// was refreshed; or its holder is proven dead.
    TakenAsWatched,
    /// A free or abandoned lock is granted within T to whoever wants it.
    GrantedAlone,
    /// A file was renamed over a frozen holder's.
    SeesTakeover,
    /// A preempted holder beats.
    SeesRobbedBeat,
    /// A holder that was never frozen outlives its lease because the guard refused its beats.
    SeesHeartbeatFail,
    /// Two processes share the lock.
    SeesSharing,
    /// A sign of life falls between a recoverer's second look and its rename.
    SeesLateSign,
    /// L is taken over because its holder is proven dead.
    SeesProof,
    /// A run goes on over a release.
    SeesRun,
}

/// What P promises to well-behaved processes.
pub const SAFETY: [Claim; 7] = [
    Claim::ExclusiveInLease,
    Claim::ExclusiveOnTime,
    Claim::ExclusiveUnfrozen,
    Claim::RobbedLearns,
    Claim::TokensRise,
    Claim::NameStays,
    Claim::TakenAsWatched,
];

impl Claim {
    /// The claim for the checker.
    pub fn property(self) -> Property<Lock> {
        let always = Property::always;
        let sometimes = Property::sometimes;
        match self {
            Self::ExclusiveInLease => {
                always("no two incompatible holders inside their leases", |lock: &Lock, s| {
                    conflict(s, |p| lock.is_in_lease(p)).is_none()
                })
            }
            Self::ExclusiveOnTime => {
                always("no two incompatible holders that beat on time", |lock: &Lock, s| {
                    conflict(s, |p| lock.is_on_time(p)).is_none()
                })
            }
            Self::ExclusiveUnfrozen => always(
                "no two incompatible holders inside their leases that never froze in them",
                |lock: &Lock, s| conflict(s, |p| !p.was_frozen && lock.is_in_lease(p)).is_none(),
            ),
            Self::RobbedLearns => {
                always("a preempted holder learns it at its next beat", |_, s: &State| {
                    !s.processes.iter().any(|p| p.phase == Phase::Holding && p.unaware)
                })
            }
            Self::TokensRise => always("tokens rise", |_, s: &State| !s.token_fell),
            Self::NameStays => {
                always("what was identified stays L until the guard is left", |_, s: &State| {
                    use Phase::*;
                    s.processes.iter().all(|p| match p.phase {
                        Identified | LedgerRead | Timed | Stamped | LedgerWritten
                        | RecoverIdentified | RecoverLedgerRead | Refused | LookedAgain
                        | RecoverTimed | Renamed | BeatIdentified | BeatTimed | BeatStamped => {
                            s.is_l(p.file)
                        }
                        _ => true,
                    })
                })
            }
            Self::TakenAsWatched => {
                always("L is taken over only as it was watched", |lock: &Lock, s: &State| {
                    s.processes.iter().enumerate().filter(|(_, p)| p.is_taking()).all(|(i, p)| {
                        let watched = lock.watched_long_enough(s, p);
                        s.others(i)
                            .filter(|q| q.is_aging() && s.is_l(q.file))
                            .all(|holder| watched && holder.age >= p.seen.watched)
                    })
                })
            }
            Self::GrantedAlone => {
                always("a process alone is granted the lock within T", |lock: &Lock, s| {
                    (0..lock.0.processes)
                        .filter_map(|i| solo::ticks_until_grant(lock, s, i))
                        .all(|ticks| ticks.is_some_and(|ticks| ticks <= lock.0.timing.stale))
                })
            }
            Self::SeesTakeover => sometimes("L was taken from a frozen holder", |_, s: &State| {
                s.processes.iter().any(|p| p.is_holder() && p.was_frozen && !s.is_l(p.file))
            }),
            Self::SeesRobbedBeat => sometimes("a preempted holder beats", |_, s: &State| {
                s.processes.iter().any(|p| p.phase == Phase::BeatGuarded && p.unaware)
            }),
            Self::SeesHeartbeatFail => {
                sometimes("the guard refuses beats for a whole lease", |lock: &Lock, s: &State| {
                    s.processes.iter().any(|p| lock.may_fail(p) && !p.was_frozen)
                })
            }
            Self::SeesSharing => sometimes("two share the lock", |_, s: &State| {
                s.processes.iter().filter(|p| p.is_holder() && s.is_l(p.file)).count() == 2
            }),
            Self::SeesLateSign => sometimes("a sign of life comes too late", |_, s: &State| {
                s.processes.iter().any(|p| p.is_taking() && p.sighting.is_none())
            }),
            Self::SeesRun => sometimes("a run goes on over a release", |_, s: &State| {
                s.processes.iter().any(|p| p.phase == Phase::Resuming && p.run.is_some())
            }),
            Self::SeesProof => sometimes("L was taken from the dead", |lock: &Lock, s: &State| {
                s.processes.iter().any(|p| p.is_taking() && !lock.watched_long_enough(s, p))
            }),
        }
    }

    /// Two holders that contradict the claim, if it is about exclusion.
    pub(crate) fn offenders(self, lock: &Lock, s: &State) -> Option<(usize, usize)> {
        match self {
            Self::ExclusiveInLease => conflict(s, |p| lock.is_in_lease(p)),
            Self::ExclusiveOnTime => conflict(s, |p| lock.is_on_time(p)),
            Self::ExclusiveUnfrozen => conflict(s, |p| !p.was_frozen && lock.is_in_lease(p)),
            _ => None,
        }
    }
}

/// Two holders that count and must not coexist.
fn conflict(s: &State, counts: impl Fn(&Process) -> bool) -> Option<(usize, usize)> {
    let holds = |i: usize| s.processes[i].is_holder() && counts(&s.processes[i]);
    let holders = || (0..s.processes.len()).filter(|&i| holds(i));
    holders()
        .flat_map(|i| holders().map(move |j| (i, j)))
        .find(|&(i, j)| i < j && !s.processes[i].mode.is_compatible_with(s.processes[j].mode))
}
