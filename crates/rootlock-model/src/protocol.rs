//! The protocol, step by step: each step's precondition and its effect.

use stateright::{Model, Property};

use crate::setup::{DeadHolder, Setup, Start, Variant, Wall};
use crate::state::{Guard, L, Ledger, Mode, Phase, Process, Record, Run, Seen, State, Terms};

/// The model: a protocol and what may happen to it.
#[derive(Clone, Debug)]
pub struct Lock(pub Setup);

/// One atomic step of one process.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Step {
    /// Opens L, creating it if needed.
    Open(Mode, Terms),
    /// The kernel grants the lock, at once or to a waiter.
    LockKernel,
    /// Enters the guard: exclusive, or shared for a beat.
    LockGuard,
    /// Does L's name still refer to the file that this process has open?
    CheckIdentity,
    /// The same, and are L's times still those of this process's own last stamp?
    CheckStamp,
    /// Reads the last token and the record.
    ReadLedger,
    /// Reads the clock: the lease counts from here.
    Moment,
    /// Sets the file's modification time.
    Stamp,
    /// Writes the new token and record.
    WriteLedger,
    /// Leaves the guard; at the end of an acquire or a recovery this is the grant.
    UnlockGuard,
    /// Looks at L while waiting.
    Look,
    /// Asks the kernel for the lock without waiting.
    TryLock {
        /// The answer.
        granted: bool,
    },
    /// Judges L by what was seen of it inside the guard.
    LookAgain,
    /// Creates a file under a temporary name, and locks it.
    CreateTemporary,
    /// Renames it over L.
    Rename,
    /// Naive: unlinks L.
    Unlink,
    /// A beat can't enter the guard.
    RefuseBeat,
    /// A beat finds no guard; or, after its stamp, still none.
    MissGuard,
    /// After a beat's stamp without a guard: there is one now.
    FindGuard,
    /// `heartbeat-failed`, by the holder's own clock.
    FailHeartbeat,
    /// First half of a release, or of passing the lock on inside the process.
    StopHeartbeat,
    /// Gives the kernel lock back.
    UnlockKernel,
    /// Gives up waiting.
    GiveUp,
    /// Fault: dies; another process takes its place.
    Crash,
}

impl Step {
    /// All of them.
    pub const ALL: [Self; 28] = {
        use Step::*;
        [
            Open(Mode::Exclusive, Terms::Usual),
            Open(Mode::Exclusive, Terms::Hasty),
            Open(Mode::Shared, Terms::Usual),
            Open(Mode::Shared, Terms::Hasty),
            LockKernel,
            LockGuard,
            CheckIdentity,
            CheckStamp,
            ReadLedger,
            Moment,
            Stamp,
            WriteLedger,
            UnlockGuard,
            Look,
            TryLock { granted: true },
            TryLock { granted: false },
            LookAgain,
            CreateTemporary,
            Rename,
            Unlink,
            RefuseBeat,
            MissGuard,
            FindGuard,
            FailHeartbeat,
            StopHeartbeat,
            UnlockKernel,
            GiveUp,
            Crash,
        ]
    };
}

/// Something that happens.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Action {
    /// A process takes a step.
    Of(u8, Step),
    /// Time passes; whoever had something urgent to do was frozen meanwhile.
    Tick,
    /// Time passes on a machine that sleeps.
    Sleep,
    /// A foreign program unlinks L without the guard.
    ForeignUnlink,
    /// A foreign program removes the guard; nobody is inside.
    RemoveGuard,
}

impl Model for Lock {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let mut s = State { wall_age: self.0.timing.stale, ..State::default() };
        let record = |record| Ledger { record, names_l: true, ..Ledger::default() };
        match self.0.start {
            Start::Missing => {}
            Start::Cold => {
                s.linked = true;
                s.ledger = record(Record::Somebody);
            }
            Start::HeldByFrozen => {
                s.linked = true;
                s.wall_age = 0;
                s.ledger = record(Record::Member);
                s.processes[0].phase = Phase::Holding;
                s.processes[0].frozen = true;
                s.processes[0].was_frozen = true;
                s.processes[0].in_ledger = true;
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
        if self.0.freezes || !self.is_anything_urgent(s) {
            actions.push(Action::Tick);
        }
        if self.0.sleeps {
            actions.push(Action::Sleep);
        }
        if self.0.foreign_unlink && s.linked {
            actions.push(Action::ForeignUnlink);
        }
        let empty = || s.processes.iter().all(|p| p.guard == Guard::None);
        if self.0.cleans && !s.guard_gone && empty() {
            actions.push(Action::RemoveGuard);
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
            Action::RemoveGuard => {
                let mut next = *s;
                next.remove_guard();
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
        // An age that nobody looks at must not keep states apart.
        if self.0.wall == Wall::Lying || !s.linked {
            s.wall_age = self.0.timing.stale;
        }
        if self.0.dead_holder != DeadHolder::AsFirstWorded {
            s.forget_record();
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
        let clock_first = !naive && variant != Variant::LeaseFromGrant;
        let ledger_first = variant == Variant::LedgerBeforeRename;
        if s.processes[i].frozen && step != Crash {
            return None;
        }
        let mut next = *s;
        let p = &mut next.processes[i];
        match (p.phase, step) {
            // ---- Acquire ----
            (Idle, Open(mode, terms)) if self.may_ask_for(mode, terms) => {
                p.phase = Waiting;
                p.mode = mode;
                p.terms = terms;
                p.file = L;
                next.make_l();
            }
            (Waiting, LockKernel) if s.kernel_lock_is_free(i) => p.phase = Locked,
            // No section: since that stamp nobody was granted the lock, which stamps, and nobody
            // has watched L for long enough to take it over.
            (Locked, CheckStamp) if self.may_resume(p) && s.is_l(p.file) => {
                p.phase = Resuming;
            }
            // The clock is read last: the run is young now, whatever came before.
            (Resuming, Moment) if p.run.is_some() => self.resume(&mut next, i),
            (Locked | Resuming, LockGuard)
                if guarded_acquire && s.guard_is_free(Guard::Exclusive, i) =>
            {
                p.guard = Guard::Exclusive;
                p.phase = Guarded;
                next.guard_gone = false;
            }
            (Guarded, CheckIdentity) => self.check_identity(s, p),
            (Locked, CheckIdentity) if !guarded_acquire => self.check_identity(s, p),
            (Identified, Stamp) if naive => {
                p.phase = Holding;
                self.read_clock(p);
                self.stamp(&mut next, i);
            }
            (Identified, ReadLedger) if !naive => self.read_ledger(s, p, LedgerRead),
            (LedgerRead, Moment) if clock_first => {
                p.phase = Timed;
                self.read_clock(p);
            }
            (LedgerRead, Stamp) if !clock_first => {
                p.phase = Stamped;
                self.stamp(&mut next, i);
            }
            (Timed, Stamp) => {
                p.phase = Stamped;
                self.stamp(&mut next, i);
            }
            (Stamped, WriteLedger) => {
                self.write_ledger(&mut next, i, LedgerWritten);
                self.begin_run(&mut next, i);
            }
            (LedgerWritten, UnlockGuard) => {
                p.phase = if clock_first { Holding } else { Unlocked };
                p.guard = Guard::None;
            }
            (Unlocked, Moment) => {
                p.phase = Holding;
                self.read_clock(p);
            }

            // ---- Watch ----
            (Waiting, Look) if naive => {
                // Looks only when the kernel has just refused it the lock.
                let old = s.linked && s.wall_age >= timing.stale;
                if !old || s.kernel_lock_is_free(i) {
                    return None;
                }
                p.phase = Stale;
            }
            (Waiting, Look) => {
                if !s.is_l(p.file) {
                    // Waiting for a file that is not L is pointless.
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
                next.guard_gone = false;
            }
            (Waiting, LockGuard) if self.0.attempts && s.guard_is_free(Guard::Exclusive, i) => {
                p.guard = Guard::Exclusive;
                p.phase = RecoverGuarded;
                next.guard_gone = false;
            }
            (RecoverGuarded, Open(mode, terms)) if (mode, terms) == (p.mode, p.terms) => {
                p.phase = RecoverOpened;
                p.file = L;
                next.make_l();
            }
            (RecoverOpened, CheckIdentity) => {
                if s.is_l(p.file) {
                    p.phase = RecoverIdentified;
                    p.seen.watched = *p.sighting.get_or_insert(0);
                    p.seen.age = s.wall_age;
                } else {
                    p.wait_on();
                }
            }
            (RecoverIdentified, ReadLedger) => self.read_ledger(s, p, RecoverLedgerRead),
            (RecoverLedgerRead, TryLock { granted: true }) if s.kernel_lock_is_free(i) => {
                p.phase = LedgerRead;
                p.seen = Seen::default();
            }
            (RecoverLedgerRead, TryLock { granted: false }) => p.phase = Refused,
            (Refused, LookAgain) => {
                if self.may_take_over(s, p) || variant == Variant::NoLookAgain {
                    p.phase = LookedAgain;
                    // Only for the claim: how long ago a holder must have refreshed its lease.
                    p.seen = Seen { watched: self.watched_for(s, p), ..Seen::default() };
                } else {
                    // If L has changed since, the next look will see it.
                    p.sighting = p.sighting.map(|_| self.watched_inside(s, p));
                    p.wait_on();
                }
            }
            (LookedAgain, Moment) if clock_first => {
                p.phase = RecoverTimed;
                self.read_clock(p);
            }
            (LookedAgain, CreateTemporary) if !clock_first => self.create_temporary(s, p),
            (RecoverTimed, CreateTemporary) => self.create_temporary(s, p),
            (TemporaryCreated, WriteLedger) if ledger_first => {
                self.write_ledger(&mut next, i, TemporaryLedgerWritten);
            }
            (TemporaryLedgerWritten, Rename) => {
                next.rename_over_l(i);
                next.processes[i].phase = LedgerWritten;
                next.processes[i].seen = Seen::default();
            }
            (TemporaryCreated, Rename) if !ledger_first => {
                let promise = self.promise(s, i);
                next.rename_over_l(i);
                next.promised = promise;
                next.processes[i].phase = Renamed;
                next.processes[i].seen = Seen::default();
            }
            (Renamed, WriteLedger) => self.write_ledger(&mut next, i, LedgerWritten),

            // ---- Beat ----
            (Holding, Stamp) if naive && self.beat_is_due(p) => {
                p.unaware = !s.is_l(p.file);
                self.read_clock(p);
                self.stamp(&mut next, i);
            }
            (Holding, LockGuard)
                if !naive
                    && self.beat_is_due(p)
                    && s.guard_is_free(self.guard_to_beat(s, i), i) =>
            {
                // It may create the guard; or find it missing, below.
                p.guard = self.guard_to_beat(s, i);
                p.phase = BeatGuarded;
                p.unaware = !s.is_l(p.file);
                next.guard_gone = false;
            }
            (BeatGuarded, CheckIdentity) if s.is_l(p.file) => p.phase = BeatIdentified,
            (BeatGuarded, CheckIdentity) => p.end_grant(),
            (BeatIdentified, Moment) => {
                p.phase = BeatTimed;
                self.read_clock(p);
            }
            (BeatTimed, Stamp) => {
                p.phase = BeatStamped;
                self.stamp(&mut next, i);
            }
            // Written before the guard is left, so that the next process finds it.
            (BeatStamped, WriteLedger) if self.lacks_record(s, i) => {
                self.write_record_again(&mut next, i);
            }
            (BeatStamped, UnlockGuard) if !self.lacks_record(s, i) => {
                p.phase = Holding;
                p.guard = Guard::None;
            }
            (Holding, MissGuard) if s.guard_gone && self.beat_is_due(p) && !p.beat_refused => {
                p.phase = BeatUnguarded;
                p.unaware = !s.is_l(p.file);
            }
            (BeatUnguarded, CheckIdentity) if s.is_l(p.file) => p.phase = BeatUnguardedIdentified,
            (BeatUnguarded, CheckIdentity) => p.end_grant(),
            (BeatUnguardedIdentified, Moment) => {
                p.phase = BeatUnguardedTimed;
                p.seen.age = 0;
            }
            (BeatUnguardedTimed, Stamp) => {
                p.phase = BeatUnguardedStamped;
                self.stamp(&mut next, i);
            }
            (BeatUnguardedStamped, MissGuard)
                if s.guard_gone || variant == Variant::UnguardedBeat =>
            {
                p.phase = BeatUnguardedMissed;
            }
            // Again: a guard may have been created, used for a takeover of L and removed again.
            (BeatUnguardedMissed, CheckIdentity) if !s.is_l(p.file) => p.end_grant(),
            (BeatUnguardedMissed, CheckIdentity) => {
                let age = p.seen.age;
                self.read_clock(p);
                p.phase = Holding;
                (p.age, p.awake) = (age, age.min(self.timing(p.terms).beat));
                p.was_frozen = age > 0;
                p.seen = Seen::default();
            }
            (BeatUnguardedStamped, FindGuard)
                if !s.guard_gone && variant != Variant::UnguardedBeat =>
            {
                // A sign of life, like that of any beat that the guard refuses.
                p.phase = Holding;
                p.beat_refused = true;
                p.seen = Seen::default();
            }
            (Holding, RefuseBeat)
                if !naive
                    && self.beat_is_due(p)
                    && !p.beat_refused
                    && !s.guard_is_free(self.guard_to_beat(s, i), i) =>
            {
                p.phase = BeatRefused;
                p.unaware = !s.is_l(p.file);
            }
            (BeatRefused, CheckIdentity) if !s.is_l(p.file) => p.end_grant(),
            (BeatRefused, CheckIdentity) => match variant {
                Variant::NoSignOfLife => p.phase = Holding,
                Variant::SkippedBeat => {
                    p.phase = Holding;
                    p.beat_refused = true;
                }
                _ => p.phase = BeatRefusedIdentified,
            },
            (BeatRefusedIdentified, Stamp) => {
                p.phase = Holding;
                p.beat_refused = true;
                if variant == Variant::SignProlongs {
                    self.read_clock(p);
                }
                // A sign of life: the lease goes on counting from where it did.
                self.stamp(&mut next, i);
            }
            (Holding, FailHeartbeat) if !naive && self.may_fail(p) => p.end_grant(),

            // ---- Release ----
            (Holding, StopHeartbeat) if self.0.releases => p.end_grant(),
            (Locked, UnlockKernel) => p.start_over(),
            (Waiting | Stale, GiveUp) => p.start_over(),

            // ---- A fault ----
            (_, Crash) if self.0.crashes && *p != Process::default() => *p = Process::default(),
            _ => return None,
        }
        Some(next)
    }

    pub(crate) fn may_ask_for(&self, mode: Mode, terms: Terms) -> bool {
        (self.0.shared || mode == Mode::Exclusive)
            && (self.0.hasty.is_some() || terms == Terms::Usual)
    }

    fn check_identity(&self, s: &State, p: &mut Process) {
        if s.is_l(p.file) {
            p.phase = Phase::Identified;
        } else {
            p.start_over();
        }
    }

    fn read_clock(&self, p: &mut Process) {
        p.age = 0;
        p.awake = 0;
        p.was_frozen = false;
        p.beat_refused = false;
    }

    fn stamp(&self, next: &mut State, i: usize) {
        if next.is_l(next.processes[i].file) {
            next.touch_l();
            if self.0.variant != Variant::RunOverStamps {
                next.end_runs();
            }
            next.promised = self.promise(next, i);
        }
    }

    fn create_temporary(&self, s: &State, p: &mut Process) {
        p.phase = Phase::TemporaryCreated;
        p.file = s.new_file();
    }

    fn read_ledger(&self, s: &State, p: &mut Process, phase: Phase) {
        p.phase = phase;
        p.token_read = s.ledger.token;
    }

    /// The token is one more than the last, or the wall clock, which has passed every token that was
    /// granted; here all that matters is that it is higher.
    fn write_ledger(&self, next: &mut State, i: usize, phase: Phase) {
        next.processes[i].phase = phase;
        let Process { file, mode, mut terms, token_read, .. } = next.processes[i];
        let lost = next.ledger.record == Record::Nobody;
        let token = 1 + if lost { next.highest_token } else { token_read };
        next.give_token(token);
        next.processes[i].token_read = token - 1;
        let last = next.ledger;
        if last.record != Record::Nobody
            && (mode, last.mode) == (Mode::Shared, Mode::Shared)
            && self.0.variant != Variant::LastReadersTerms
        {
            // It can't see whether the readers before it still hold the lock.
            terms = terms.widest(last.terms);
        }
        if mode == Mode::Shared && !last.names_l {
            terms = next.promised.map_or(terms, |promised| terms.widest(promised));
        }
        for (j, p) in next.processes.iter_mut().enumerate() {
            p.in_ledger = j == i;
        }
        let names_l = next.is_l(file);
        let token = token + self.set_aside(mode);
        next.ledger = Ledger { token, record: Record::Member, names_l, mode, terms };
    }

    /// How many tokens a grant sets aside for the rest of its run.
    fn set_aside(&self, mode: Mode) -> u8 {
        if self.0.runs && mode == Mode::Exclusive { 2 } else { 0 }
    }

    /// What a process remembers of its own stamp: it is in the ledger.
    fn begin_run(&self, next: &mut State, i: usize) {
        let left = self.set_aside(next.processes[i].mode);
        let p = &mut next.processes[i];
        if left > 0 && (p.age == 0 || self.0.variant == Variant::LongRuns) {
            p.run = Some(Run { age: p.age, terms: p.terms, token: p.token_read + 2, left });
        }
    }

    fn may_resume(&self, p: &Process) -> bool {
        let any_terms = self.0.variant == Variant::RunOnOtherTerms;
        p.mode == Mode::Exclusive && p.run.is_some_and(|run| any_terms || run.terms == p.terms)
    }

    /// The next grant of a run: the same stamp, the same lease.
    fn resume(&self, next: &mut State, i: usize) {
        let p = &mut next.processes[i];
        let Some(run) = p.run.take() else { return };
        p.phase = Phase::Holding;
        self.read_clock(p);
        (p.age, p.awake) = (run.age, run.age.min(self.timing(p.terms).beat));
        if run.left > 1 {
            p.run = Some(Run { token: run.token + 1, left: run.left - 1, ..run });
        }
        next.give_token(run.token);
    }

    /// What a beat needs of the guard.
    fn guard_to_beat(&self, s: &State, i: usize) -> Guard {
        if s.guard_gone || self.lacks_record(s, i) { Guard::Exclusive } else { Guard::Shared }
    }

    /// Whether the ledger lacks terms that a holder may rely on, because the guard was removed.
    fn lacks_record(&self, s: &State, i: usize) -> bool {
        let p = &s.processes[i];
        let told = s.ledger.names_l && s.ledger.terms.widest(p.terms) == s.ledger.terms;
        self.0.cleans && s.is_l(p.file) && !told
    }

    /// The terms of all who may hold L, as far as `i` can know.
    fn promise(&self, s: &State, i: usize) -> Option<Terms> {
        if !self.0.cleans || self.0.variant == Variant::NoPromise {
            return None;
        }
        let Process { mode, terms, .. } = s.processes[i];
        Some(match (mode, s.ledger.names_l, s.ledger.mode) {
            (Mode::Exclusive, ..) | (Mode::Shared, true, Mode::Exclusive) => terms,
            (Mode::Shared, true, Mode::Shared) => terms.widest(s.ledger.terms),
            (Mode::Shared, false, _) => s.promised.map_or(terms, |said| terms.widest(said)),
        })
    }

    /// A holder's record, in a ledger that has none of L; it gives out no token.
    fn write_record_again(&self, next: &mut State, i: usize) {
        let Process { mode, mut terms, .. } = next.processes[i];
        if mode == Mode::Shared {
            let known = if next.ledger.names_l { Some(next.ledger.terms) } else { next.promised };
            terms = known.map_or(terms, |known| terms.widest(known));
        }
        for (j, p) in next.processes.iter_mut().enumerate() {
            p.in_ledger = j == i;
        }
        let token = next.ledger.token.max(next.highest_token);
        next.ledger = Ledger { token, record: Record::Member, names_l: true, mode, terms };
    }

    /// Whether there is a reason to take L from its holder.
    fn may_take_over(&self, s: &State, p: &Process) -> bool {
        self.watched_long_enough(s, p) || self.holder_is_proven_dead(s)
    }

    fn holder_is_proven_dead(&self, s: &State) -> bool {
        match self.0.dead_holder {
            DeadHolder::Watched => false,
            DeadHolder::Proven => s.l_is_an_orphan(),
            DeadHolder::AsFirstWorded => s.ledger_names_the_dead(),
        }
    }
}
