//! What one run of the checker looks at: which protocol, how many processes, which faults.

use crate::claims::{Claim, SAFETY};

/// The protocol under test: P itself, the design it comes from, and P with one rule changed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Variant {
    /// P, as `docs/protocol.md` has it.
    Protocol,
    /// The Go package's protocol: no guard, no watch; a file that is old is unlinked.
    Naive,
    /// P whose recoverers do not look again under the guard.
    NoLookAgain,
    /// P whose acquirers skip the guard.
    UnguardedAcquire,
    /// P whose holders count their lease from the end of a section of the guard, not from the
    /// `stamp` inside it.
    LeaseFromUnlock,
    /// P whose recoverers write the ledger after the `rename`, not before it.
    LedgerAfterRename,
}

/// Lengths in ticks.
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

    /// A tick is a fifth of a beat, so that 1.2 h is exact.
    pub const FINE: Self = Self { beat: 5, short_watch: 6, stale: 15 };

    /// T − h: how long a holder trusts its last `stamp`.
    pub const fn lease(self) -> u8 {
        self.stale - self.beat
    }
}

/// What L is when the run starts.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Start {
    /// No file yet.
    Missing,
    /// A file that was left long ago: unlocked, and older than any T.
    Cold,
    /// P1 holds the lock, and is frozen for ever.
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

/// What a holder does about a beat that the guard refuses, because somebody is inside.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum RefusedBeat {
    /// Tries again at once, as often as it takes.
    Retry,
    /// Tries again a whole interval later.
    Skip,
    /// Stamps without the guard, as a sign of life which does not renew its own lease, and tries
    /// again an interval later.
    SignOfLife,
}

/// "A holder proven dead needs no watch": when does that count?
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum DeadHolder {
    /// Never.
    Watched,
    /// When the process that the ledger names is dead.
    Robbed,
    /// When, besides, the ledger speaks of L's own file and of an exclusive holder.
    RobbedIfNamed,
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
    /// Lengths.
    pub timing: Timing,
    /// The state of L at first.
    pub start: Start,
    /// The wall clocks.
    pub wall: Wall,
    /// The rule for dead holders.
    pub dead_holder: DeadHolder,
    /// The rule for refused beats.
    pub refused_beat: RefusedBeat,
    /// Contenders have a shorter T of their own, and use it unless the ledger's record of L's
    /// file tells them the holder's.
    pub own_stale: Option<u8>,
    /// A waiting process may also `try_lock` under the guard without having watched.
    pub attempts: bool,
    /// Holders may release.
    pub releases: bool,
    /// Processes may freeze and wake.
    pub freezes: bool,
    /// Processes may crash.
    pub crashes: bool,
    /// The machine may sleep: the clocks of leases and files go on, stopwatches do not.
    pub sleeps: bool,
    /// A foreign program may unlink L at any time.
    pub foreign_unlink: bool,
    /// States that differ only in the processes' numbers count as one.
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
            start: Start::Cold,
            wall: Wall::Honest,
            dead_holder: DeadHolder::Watched,
            refused_beat: RefusedBeat::Retry,
            own_stale: None,
            attempts: false,
            releases: true,
            freezes: true,
            crashes: true,
            sleeps: false,
            foreign_unlink: false,
            symmetry: true,
            claims: SAFETY.to_vec(),
        }
    }
}
