//! The configuration of one run of the checker: which protocol, how many processes, which faults.

use crate::claims::{Claim, SAFETY};

/// The protocol under test: P itself, the design it comes from, and P with one rule changed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Variant {
    /// P, as in the code and `docs/protocol.md`.
    Protocol,
    /// The Go package's protocol: no guard, no watch; a file that is old is unlinked.
    Naive,
    /// P whose recoverers do not look again under the guard.
    NoLookAgain,
    /// P whose acquirers skip the guard.
    UnguardedAcquire,
    /// P whose leases count from the grant, not from a moment before the `stamp`.
    LeaseFromGrant,
    /// P whose recoverers write the ledger before the `rename`, not after it.
    LedgerBeforeRename,
    /// P whose beats, when the guard refuses them, stamp nothing and are tried again at once.
    NoSignOfLife,
    /// P whose beats, when the guard refuses them, stamp nothing and are tried again an interval
    /// later.
    SkippedBeat,
    /// P whose beats extend the lease even when the guard refuses them.
    SignProlongs,
    /// P whose second look counts the time until it judges, not only until it looked.
    CountsToTheJudgement,
    /// P whose readers write their own terms to the ledger even when they are not the widest.
    LastReadersTerms,
    /// P whose stamps do not put the terms on L itself, for those who find no record of it.
    NoPromise,
    /// P whose beats without a guard count although it has come back meanwhile.
    UnguardedBeat,
    /// P whose runs go on over a release without comparing L's times.
    RunOverStamps,
    /// P whose runs go on over a release on other terms.
    RunOnOtherTerms,
    /// P whose runs go on over a release for as long as the lease.
    LongRuns,
}

/// Durations in ticks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Timing {
    /// h: a running holder lets no more than this pass between beats.
    pub beat: u8,
    /// 1.2 h: the watch that is enough for a file that looks old.
    pub short_watch: u8,
    /// T: the watch that is always enough.
    pub stale: u8,
}

impl Timing {
    /// The smallest numbers that keep h, 1.2 h, T − h and T apart.
    pub const SMALL: Self = Self { beat: 1, short_watch: 2, stale: 4 };

    /// T = 3 h, the shortest that is allowed.
    pub const SHORT: Self = Self { beat: 1, short_watch: 2, stale: 3 };

    /// Twice as long.
    pub const LONG: Self = Self { beat: 2, short_watch: 3, stale: 6 };

    /// A beat that is longer than [`Timing::SHORT`]'s T.
    pub const SLOW: Self = Self { beat: 4, short_watch: 5, stale: 12 };

    /// A tick is a fifth of a beat, so that 1.2 h is exact.
    pub const FINE: Self = Self { beat: 5, short_watch: 6, stale: 15 };

    /// T − h: how long a holder trusts its last refresh.
    pub const fn lease(self) -> u8 {
        self.stale - self.beat
    }
}

/// What L is when the run starts.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Start {
    /// No file yet, and an empty ledger.
    Missing,
    /// A file that was left long ago: unlocked, and older than any T. The ledger names it.
    Cold,
    /// P1 holds the lock, and is frozen forever.
    HeldByFrozen,
}

/// What wall clocks say about L's age.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Wall {
    /// The time since L was stamped.
    Honest,
    /// Anything: clocks step, machines disagree, somebody calls `utime`.
    Lying,
}

/// When "a holder proven dead needs no watch" applies.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum DeadHolder {
    /// P: the ledger describes L's own file and an exclusive holder, that process is dead, and the
    /// kernel names no other owner. The model is a little wider: no living process has the kernel
    /// lock or a run that could go on, whether or not the one in the ledger is dead.
    Proven,
    /// Never.
    Watched,
    /// As the rule was first worded: when the process that the ledger names is dead.
    AsFirstWorded,
}

/// One run.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The protocol.
    pub variant: Variant,
    /// How many processes, at most [`crate::state::MOST`].
    pub processes: usize,
    /// Locks may be shared; otherwise all are exclusive.
    pub shared: bool,
    /// The usual terms.
    pub timing: Timing,
    /// Shorter terms, which a process may ask for instead.
    pub hasty: Option<Timing>,
    /// The initial state of L.
    pub start: Start,
    /// The wall clocks.
    pub wall: Wall,
    /// The rule for dead holders.
    pub dead_holder: DeadHolder,
    /// A process may also make an attempt under the guard without having watched.
    pub attempts: bool,
    /// Holders may release.
    pub releases: bool,
    /// A run may go on over a release.
    pub runs: bool,
    /// Processes may freeze and wake.
    pub freezes: bool,
    /// Processes may crash.
    pub crashes: bool,
    /// The machine may sleep: the clocks of leases and files go on, those of watches and timers do
    /// not.
    pub sleeps: bool,
    /// A foreign program may unlink L at any time.
    pub foreign_unlink: bool,
    /// A foreign program may remove the guard, with the ledger in it, whenever nobody is inside.
    pub cleans: bool,
    /// States that differ only in the numbering of processes count as one.
    pub symmetry: bool,
    /// What is checked.
    pub claims: Vec<Claim>,
}

impl Setup {
    /// P with exclusive locks on a cold file, and all that may happen to well-behaved processes.
    pub fn protocol(processes: usize) -> Self {
        Self {
            variant: Variant::Protocol,
            processes,
            shared: false,
            timing: Timing::SMALL,
            hasty: None,
            start: Start::Cold,
            wall: Wall::Honest,
            dead_holder: DeadHolder::Proven,
            attempts: false,
            releases: true,
            runs: true,
            freezes: true,
            crashes: true,
            sleeps: false,
            foreign_unlink: false,
            cleans: false,
            symmetry: true,
            claims: SAFETY.to_vec(),
        }
    }
}
