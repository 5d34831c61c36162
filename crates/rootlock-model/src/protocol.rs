//! The protocol, step by step: what each step needs, and what it does.

use stateright::{Model, Property};

use crate::setup::{DeadHolder, RefusedBeat, Setup, Start, Variant, Wall};
use crate::state::{Guard, L, Mode, Phase, Process, State};

/// The model: a protocol and what may happen to it.
#[derive(Clone, Debug)]
pub struct Lock(pub Setup);

/// One atomic step of one process.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Step {
    /// Opens L, or makes it.
    Open(Mode),
    /// The kernel grants the lock that was waited for.
    LockKernel,
    /// Enters the guard: exclusive, or shared for a beat.
    LockGuard,
    /// Does L's name still name the file that is locked?
    CheckIdentity,
    /// Sets the file's modification time.
    Stamp,
    /// First half of `write_ledger`: the last token.
    ReadLedger,
    /// Second half: the new token.
    WriteLedger,
    /// Leaves the guard; after an acquire or a recovery this is the grant.
    UnlockGuard,
    /// Looks at L while waiting.
    Look,
    /// Looks at L again, inside the guard.
    LookAgain,
    /// Asks the kernel for the lock without waiting.
    TryLock {
        /// The answer.
        granted: bool,
    },
    /// Makes a file under a temporary name, and locks it.
    CreateTemporary,
    /// Renames it over L.
    Rename,
    /// Naive: unlinks L.
    Unlink,
    /// The guard is not to be had for a beat.
    RefuseBeat,
    /// `heartbeat-failed`, by the holder's own clock.
    FailHeartbeat,
    /// First half of a release, or of passing the lock on inside the process.
    StopHeartbeat,
    /// Gives the kernel lock back.
    UnlockKernel,
    /// Gives up waiting.
    GiveUp,
    /// Fault: stands still.
    Freeze,
    /// Goes on.
    Wake,
    /// Fault: dies; another process takes its place.
    Crash,
}

impl Step {
    /// All of them.
    pub const ALL: [Self; 24] = {
        use Step::*;
        [
            Open(Mode::Exclusive),
            Open(Mode::Shared),
            LockKernel,
            LockGuard,
            CheckIdentity,
            Stamp,
            ReadLedger,
            WriteLedger,
            UnlockGuard,
            Look,
            LookAgain,
            TryLock { granted: true },
            TryLock { granted: false },
            CreateTemporary,
            Rename,
            Unlink,
            RefuseBeat,
            FailHeartbeat,
            StopHeartbeat,
            UnlockKernel,
            GiveUp,
            Freeze,
            Wake,
            Crash,
        ]
    };
}

/// Something that happens.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Action {
    /// A process takes a step.
    Of(u8, Step),
    /// Time passes.
    Tick,
    /// Time passes for a machine that sleeps.
    Sleep,
    /// A foreign program unlinks L without the guard.
    ForeignUnlink,
}

impl Model for Lock {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let mut s = State { linked: true, wall_age: self.0.timing.stale, ..State::default() };
        match self.0.start {
            Start::Missing => s.linked = false,
            Start::Cold => {}
            Start::HeldByFrozen => {
                s.wall_age = 0;
                s.processes[0].phase = Phase::Holding;
                s.processes[0].frozen = true;
                s.processes[0].was_frozen = true;
            }
        }
        vec![self.settled(s)]
    }

    fn actions(&self, s: &State, actions: &mut Vec<Action>) {
        for i in 0..self.0.processes {
            let enabled = |step: &Step| self.step(s, i, *step).is_some();
            actions.extend(
                Step::ALL.into_iter().filter(enabled).map(|step| Action::Of(i as u8, step)),
            );
        }
        if self.may_tick(s) {
            actions.push(Action::Tick);
        }
        if self.0.sleeps {
            actions.push(Action::Sleep);
        }
        if self.0.foreign_unlink && s.linked {
            actions.push(Action::ForeignUnlink);
        }
    }

    fn next_state(&self, s: &State, action: Action) -> Option<State> {
        let next = self.settled(match action {
            Action::Of(i, step) => self.step(s, usize::from(i), step)?,
            Action::Tick => self.tick(s, true),
            Action::Sleep => self.tick(s, false),
            Action::ForeignUnlink => {
                let mut next = *s;
                next.unlink_l();
                next
            }
        });
        (next != *s).then_some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        self.0.claims.iter().map(|claim| claim.property()).collect()
    }
}

impl Lock {
    fn settled(&self, mut s: State) -> State {
        // An age that is not looked at must not keep states apart.
        if self.0.wall == Wall::Lying || !s.linked {
            s.wall_age = self.0.timing.stale;
        }
        s.normalize(self.0.processes, self.0.symmetry);
        s
    }

    /// The state after a step of process `i`; `None` if it can't take that step.
    pub fn step(&self, s: &State, i: usize, step: Step) -> Option<State> {
        use Phase::*;
        use Step::*;
        let Setup { variant, ref timing, .. } = self.0;
        let naive = variant == Variant::Naive;
        let guarded_acquire = !naive && variant != Variant::UnguardedAcquire;
        let ledger_first = variant != Variant::LedgerAfterRename;
        if s.processes[i].frozen && !matches!(step, Wake | Crash) {
            return None;
        }
        let mut next = *s;
        let p = &mut next.processes[i];
        match (p.phase, step) {
            // ---- Acquire ----
            (Idle, Open(mode)) if self.0.shared || mode == Mode::Exclusive => {
                p.phase = Waiting;
                p.mode = mode;
                p.file = L;
                if !s.linked {
                    next.linked = true;
                    next.wall_age = 0;
                }
            }
            (Waiting, LockKernel) if s.kernel_lock_is_free(i) => p.phase = Locked,
            (Locked, LockGuard) if guarded_acquire && s.guard_is_free(Guard::Exclusive, i) => {
                p.guard = Guard::Exclusive;
                p.phase = Guarded;
            }
            (Guarded, CheckIdentity) => self.check_identity(s, p),
            (Locked, CheckIdentity) if !guarded_acquire => self.check_identity(s, p),
            (Identified, Stamp) => {
                p.phase = if naive { Holding } else { Stamped };
                self.stamp(&mut next, i);
            }
            (Stamped, ReadLedger) => self.read_ledger(s, p, LedgerRead),
            (LedgerRead, WriteLedger) => self.write_ledger(&mut next, i, LedgerWritten),
            (LedgerWritten, UnlockGuard) => self.unlock_guard(p),

            // ---- Watch ----
            (Waiting, Look) if naive => {
                // Looks only when it has just been refused the lock.
                let old = s.linked && s.wall_age >= timing.stale;
                if !old || s.kernel_lock_is_free(i) {
                    return None;
                }
                p.phase = Stale;
            }
            (Waiting, Look) => {
                if !s.is_l(p.file) {
                    // Nothing can come of waiting for a file that is not L.
                    p.start_over();
                } else if self.may_take_over(s, p) {
                    p.phase = Stale;
                } else if p.sighting.is_none() {
                    p.sighting = Some(0);
                } else {
                    return None;
                }
            }

            // ---- Recover ----
            (Stale, Unlink) if naive => {
                p.start_over();
                next.unlink_l();
            }
            (Stale, LockGuard) if !naive && s.guard_is_free(Guard::Exclusive, i) => {
                p.guard = Guard::Exclusive;
                p.phase = RecoverGuarded;
            }
            (RecoverGuarded, LookAgain) => {
                let as_watched = self.may_take_over(s, p) || variant == Variant::NoLookAgain;
                if s.linked && as_watched {
                    p.phase = LookedAgain;
                    // What is open may be an older file; what follows is about L.
                    p.file = L;
                } else {
                    p.guard = Guard::None;
                    p.phase = Waiting;
                }
            }
            (LookedAgain | Attempting, TryLock { granted: true }) if s.kernel_lock_is_free(i) => {
                p.phase = Identified;
            }
            (LookedAgain, TryLock { granted: false }) => p.phase = Refused,
            (Refused, CreateTemporary) => {
                p.phase = TemporaryCreated;
                p.file = s.new_file();
                // Its time is the time of its making: the lease counts from here.
                p.age = 0;
            }
            (TemporaryCreated, ReadLedger) if ledger_first => {
                self.read_ledger(s, p, TemporaryLedgerRead);
            }
            (TemporaryLedgerRead, WriteLedger) => {
                self.write_ledger(&mut next, i, TemporaryLedgerWritten);
            }
            (TemporaryLedgerWritten, Rename) => {
                p.phase = LedgerWritten;
                next.rename_over_l(i);
            }
            (TemporaryCreated, Rename) if !ledger_first => {
                p.phase = Renamed;
                next.rename_over_l(i);
                next.ledger.names_l = false;
            }
            (Renamed, ReadLedger) => self.read_ledger(s, p, RenamedLedgerRead),
            (RenamedLedgerRead, WriteLedger) => self.write_ledger(&mut next, i, LedgerWritten),

            // ---- An attempt under the guard, without a watch ----
            (Waiting, LockGuard)
                if self.0.attempts && s.is_l(p.file) && s.guard_is_free(Guard::Exclusive, i) =>
            {
                p.guard = Guard::Exclusive;
                p.phase = Attempting;
            }
            (Attempting, TryLock { granted: false }) => {
                p.guard = Guard::None;
                p.phase = Waiting;
            }

            // ---- Beat ----
            (Holding, Stamp) if naive && self.beat_is_due(p) => {
                p.unaware = !s.is_l(p.file);
                self.stamp(&mut next, i);
            }
            (Holding, LockGuard)
                if !naive && self.beat_is_due(p) && s.guard_is_free(Guard::Shared, i) =>
            {
                p.guard = Guard::Shared;
                p.phase = BeatGuarded;
                p.unaware = !s.is_l(p.file);
            }
            (BeatGuarded, CheckIdentity) if s.is_l(p.file) => p.phase = BeatIdentified,
            (BeatGuarded, CheckIdentity) => p.end_grant(),
            (BeatIdentified, Stamp) => {
                p.phase = BeatStamped;
                self.stamp(&mut next, i);
            }
            (BeatStamped, UnlockGuard) => self.unlock_guard(p),
            (Holding, RefuseBeat)
                if self.0.refused_beat != RefusedBeat::Retry
                    && self.beat_is_due(p)
                    && !p.beat_refused
                    && !s.guard_is_free(Guard::Shared, i) =>
            {
                p.beat_refused = true;
                if self.0.refused_beat == RefusedBeat::SignOfLife {
                    self.touch(&mut next, i);
                }
            }
            (Holding, FailHeartbeat) if !naive && self.must_fail(p) => p.end_grant(),

            // ---- Release ----
            (Holding, StopHeartbeat) if self.0.releases => p.end_grant(),
            (Locked, UnlockKernel) => p.start_over(),
            (Waiting | Stale, GiveUp) => p.start_over(),

            // ---- Faults ----
            (phase, Freeze) if self.0.freezes && (p.guard != Guard::None || phase == Holding) => {
                p.frozen = true;
                p.was_frozen = p.is_aging();
            }
            (_, Wake) if self.0.freezes && p.frozen => p.frozen = false,
            (_, Crash) if self.0.crashes && *p != Process::default() => *p = Process::default(),
            _ => return None,
        }
        Some(next)
    }

    fn check_identity(&self, s: &State, p: &mut Process) {
        if s.is_l(p.file) {
            p.phase = Phase::Identified;
        } else {
            p.start_over();
        }
    }

    fn stamp(&self, next: &mut State, i: usize) {
        next.processes[i].age = 0;
        next.processes[i].was_frozen = false;
        self.touch(next, i);
    }

    fn touch(&self, next: &mut State, i: usize) {
        if next.is_l(next.processes[i].file) {
            next.wall_age = 0;
            next.change_l();
        }
    }

    fn read_ledger(&self, s: &State, p: &mut Process, phase: Phase) {
        p.phase = phase;
        p.token_read = s.ledger.token;
    }

    /// The token is one more than the last, or the wall clock; here only that it is more counts.
    fn write_ledger(&self, next: &mut State, i: usize, phase: Phase) {
        next.processes[i].phase = phase;
        let token = next.processes[i].token_read + 1;
        next.token_fell |= token <= next.highest_token;
        next.highest_token = next.highest_token.max(token);
        next.ledger.token = token;
        if self.0.dead_holder != DeadHolder::Watched || self.0.own_stale.is_some() {
            for (j, p) in next.processes.iter_mut().enumerate() {
                p.in_ledger = j == i;
            }
            let Process { file, mode, .. } = next.processes[i];
            next.ledger.written = true;
            next.ledger.names_l = next.is_l(file);
            next.ledger.mode = mode;
        }
    }

    fn unlock_guard(&self, p: &mut Process) {
        p.phase = Phase::Holding;
        p.guard = Guard::None;
        if self.0.variant == Variant::LeaseFromUnlock {
            p.age = 0;
        }
    }

    /// Whether there is a reason to take L from whoever has it.
    fn may_take_over(&self, s: &State, p: &Process) -> bool {
        self.watched_long_enough(s, p) || self.holder_is_proven_dead(s)
    }

    fn holder_is_proven_dead(&self, s: &State) -> bool {
        s.ledger_names_the_dead()
            && match self.0.dead_holder {
                DeadHolder::Watched => false,
                DeadHolder::Robbed => true,
                DeadHolder::RobbedIfNamed => s.ledger.names_l && s.ledger.mode == Mode::Exclusive,
            }
    }
}
