//! What the checker sees of the world at one moment.

use std::hash::{Hash, Hasher};

/// The most processes that a run can have.
pub const MOST: usize = 4;

/// How a lock is wanted or held.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Mode {
    /// Alone.
    #[default]
    Exclusive,
    /// Together with other readers.
    Shared,
}

impl Mode {
    /// Whether two may hold the lock at once.
    pub fn is_compatible_with(self, other: Self) -> bool {
        self == Self::Shared && other == Self::Shared
    }
}

/// The terms of a lease.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Terms {
    /// [`crate::setup::Setup::timing`].
    #[default]
    Usual,
    /// [`crate::setup::Setup::hasty`].
    Hasty,
}

impl Terms {
    /// Terms that are safe for a holder with either.
    pub(crate) fn widest(self, other: Self) -> Self {
        self.min(other)
    }
}

/// Where a process stands: the last step that it took.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Phase {
    /// Wants nothing, or is about to start (over).
    #[default]
    Idle,
    /// Has L open; asks the kernel for the lock, and watches.
    Waiting,
    /// Has the kernel lock without a grant: just before it, after a release, or after a loss.
    Locked,
    /// Acquire: L is as this process stamped it, so a run may go on.
    Resuming,
    /// Acquire: inside the guard.
    Guarded,
    /// Acquire: has L's own file, inside the guard.
    Identified,
    /// Acquire: knows the last token.
    LedgerRead,
    /// Acquire: has read the clock.
    Timed,
    /// Acquire: has stamped L.
    Stamped,
    /// Acquire and recover: its record is in the ledger; only leaving the guard is left.
    LedgerWritten,
    /// Acquire and recover with the clock read last: has left the guard.
    Unlocked,
    /// Was granted the lock.
    Holding,
    /// Beat: inside the guard.
    BeatGuarded,
    /// Beat: L is still its own.
    BeatIdentified,
    /// Beat: has read the clock.
    BeatTimed,
    /// Beat: has stamped L.
    BeatStamped,
    /// Beat: could not enter the guard.
    BeatRefused,
    /// Beat without the guard: L is still its own.
    BeatRefusedIdentified,
    /// Beat: there is no guard.
    BeatUnguarded,
    /// Beat without any guard: L is still its own.
    BeatUnguardedIdentified,
    /// Beat without any guard: has read the clock, which counts if there is still none at the end.
    BeatUnguardedTimed,
    /// Beat without any guard: has stamped L.
    BeatUnguardedStamped,
    /// Beat without any guard: there is still none.
    BeatUnguardedMissed,
    /// Recover: has a reason, and asks for the guard.
    Stale,
    /// Recover: inside the guard.
    RecoverGuarded,
    /// Recover: has L open.
    RecoverOpened,
    /// Recover: that file is L, and this is what it looks like.
    RecoverIdentified,
    /// Recover: knows the ledger.
    RecoverLedgerRead,
    /// Recover: somebody has the kernel lock.
    Refused,
    /// Recover: L is as it was watched.
    LookedAgain,
    /// Recover: has read the clock.
    RecoverTimed,
    /// Recover: has made and locked a new file.
    TemporaryCreated,
    /// Recover with the ledger written first: its record is in the ledger.
    TemporaryLedgerWritten,
    /// Recover: the new file is L.
    Renamed,
}

/// A process's share of the guard.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Guard {
    /// Nothing.
    #[default]
    None,
    /// A beat's share.
    Shared,
    /// All of it.
    Exclusive,
}

/// A file, whether or not a name still leads to it.
pub type File = u8;

/// The file that L names, if it names one.
pub const L: File = 0;

/// What a recoverer has seen of L inside its section, by `check_identity`; it does not see what
/// happens to L after that.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Seen {
    /// For how many ticks it had watched L unchanged when it entered the section.
    pub watched: u8,
    /// Ticks since it entered, without sleep, and at most a sixth of T: it does not watch while it
    /// is inside.
    pub since: u8,
    /// L's age by the wall clock, which goes on.
    pub age: u8,
}

/// A run of grants under one stamp, for as long as L's times are those of that stamp.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub struct Run {
    /// Ticks since the stamp's `moment`: none, unless runs are [long](crate::setup::Variant).
    pub age: u8,
    /// On what terms.
    pub terms: Terms,
    /// The token of the next grant.
    pub token: u8,
    /// How many grants tokens are left for.
    pub left: u8,
}

/// One process.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub struct Process {
    /// Where it stands.
    pub phase: Phase,
    /// The mode in which it wants or has the lock.
    pub mode: Mode,
    /// Its terms.
    pub terms: Terms,
    /// The lock file that it has open.
    pub file: File,
    /// What it has of the guard.
    pub guard: Guard,
    /// It takes no steps, for good.
    pub frozen: bool,
    /// Ticks since the moment from which its lease counts, sleep included.
    pub age: u8,
    /// The same without sleep, and at most one beat: what its timers go by.
    pub awake: u8,
    /// Ticks since it first saw L in its present state, without sleep; `None` when it has not seen
    /// that.
    pub sighting: Option<u8>,
    /// What its second look goes by.
    pub seen: Seen,
    /// The last token, as `read_ledger` found it.
    pub token_read: u8,
    /// The run that its next grant may go on with.
    pub run: Option<Run>,
    /// It was frozen since the moment from which its lease counts.
    pub was_frozen: bool,
    /// The guard refused its beat during this tick, and it has reacted to that.
    pub beat_refused: bool,
    /// The ledger names this process.
    pub in_ledger: bool,
    /// It began a beat after it was preempted, and that beat has not told it so.
    pub unaware: bool,
}

impl Process {
    /// Whether its program believes that it has the lock.
    pub fn is_holder(&self) -> bool {
        use Phase::*;
        matches!(
            self.phase,
            Holding
                | BeatGuarded
                | BeatIdentified
                | BeatTimed
                | BeatStamped
                | BeatRefused
                | BeatRefusedIdentified
        ) || self.is_unguarded()
    }

    /// Whether it is in a beat without any guard.
    pub(crate) fn is_unguarded(&self) -> bool {
        use Phase::*;
        matches!(
            self.phase,
            BeatUnguarded
                | BeatUnguardedIdentified
                | BeatUnguardedTimed
                | BeatUnguardedStamped
                | BeatUnguardedMissed
        )
    }

    /// Whether it has the kernel lock on its file.
    pub fn has_kernel_lock(&self) -> bool {
        use Phase::*;
        !matches!(
            self.phase,
            Idle | Waiting
                | Stale
                | RecoverGuarded
                | RecoverOpened
                | RecoverIdentified
                | RecoverLedgerRead
                | Refused
                | LookedAgain
                | RecoverTimed
        )
    }

    /// Whether [`Process::age`] means something.
    pub(crate) fn is_aging(&self) -> bool {
        use Phase::*;
        self.is_holder()
            || matches!(
                self.phase,
                Timed
                    | Stamped
                    | RecoverTimed
                    | TemporaryCreated
                    | TemporaryLedgerWritten
                    | Renamed
                    | LedgerWritten
                    | Unlocked
            )
    }

    /// Whether it is in a section to recover, and has not looked at L there yet.
    pub(crate) fn is_entering(&self) -> bool {
        matches!(self.phase, Phase::RecoverGuarded | Phase::RecoverOpened)
    }

    /// Whether it has looked at L in its section, and has not judged it yet.
    pub(crate) fn is_judging(&self) -> bool {
        use Phase::*;
        matches!(self.phase, RecoverIdentified | RecoverLedgerRead | Refused)
    }

    /// Whether its second look said yes, and L has yet to be taken.
    pub(crate) fn is_taking(&self) -> bool {
        use Phase::*;
        matches!(self.phase, LookedAgain | RecoverTimed | TemporaryCreated | TemporaryLedgerWritten)
    }

    fn has_read_ledger(&self) -> bool {
        use Phase::*;
        matches!(
            self.phase,
            LedgerRead
                | Timed
                | Stamped
                | RecoverLedgerRead
                | Refused
                | LookedAgain
                | RecoverTimed
                | TemporaryCreated
                | Renamed
        )
    }

    /// Drops everything and starts over; a process remembers what it saw, and the ledger who it
    /// was.
    pub(crate) fn start_over(&mut self) {
        let Self { sighting, in_ledger, run, .. } = *self;
        *self = Self { sighting, in_ledger, run, ..Self::default() };
    }

    /// Leaves the section of an attempt, and goes on waiting.
    pub(crate) fn wait_on(&mut self) {
        let Self { mode, terms, file, .. } = *self;
        self.start_over();
        *self = Self { phase: Phase::Waiting, mode, terms, file, ..*self };
    }

    /// No longer a holder, by release or by loss: only the kernel lock is left.
    pub(crate) fn end_grant(&mut self) {
        let Self { mode, terms, file, .. } = *self;
        self.start_over();
        *self = Self { phase: Phase::Locked, mode, terms, file, ..*self };
    }
}

/// Equivalent to the derived one, but in one piece: hashing is most of a checker's work.
impl Hash for Process {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        let Self { phase, mode, terms, file, guard, frozen, age, awake, sighting, seen, .. } =
            *self;
        let Self { token_read, run, was_frozen, beat_refused, in_ledger, unaware, .. } = *self;
        let flags = [frozen, was_frozen, beat_refused, in_ledger, unaware];
        let flags = flags.iter().fold(0, |flags, &flag| flags << 1 | u8::from(flag));
        let Seen { watched, since, age: seen_age } = seen;
        let sighting = sighting.map_or(0, |ticks| ticks + 1);
        // An existing run has a grant left.
        let run = run.unwrap_or_default();
        let (phase, mode, terms, guard) = (phase as u8, mode as u8, terms as u8, guard as u8);
        hasher.write_u128(u128::from_le_bytes([
            phase,
            mode,
            terms,
            file,
            guard,
            age,
            awake,
            sighting,
            watched,
            since,
            seen_age,
            token_read,
            flags,
            run.age,
            run.token,
            run.left << 1 | run.terms as u8,
        ]));
    }
}

/// Who is named in the ledger.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum Record {
    /// Nobody: it was never written.
    #[default]
    Nobody,
    /// Somebody; no rule asks who.
    Somebody,
    /// The process that is [`Process::in_ledger`]; a dead one, if none is. Kept only if a rule
    /// asks.
    Member,
}

/// The guard's content, and what is true of it.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct Ledger {
    /// The last token.
    pub token: u8,
    /// The last record.
    pub record: Record,
    /// It describes the file that L names.
    pub names_l: bool,
    /// How the lock was granted.
    pub mode: Mode,
    /// Its terms.
    pub terms: Terms,
}

/// The world.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct State {
    /// Those beyond the run's number never change.
    pub processes: [Process; MOST],
    /// L's name leads to a file.
    pub linked: bool,
    /// L's age by the wall clock.
    pub wall_age: u8,
    /// The ledger.
    pub ledger: Ledger,
    /// There is no guard, and so no ledger.
    pub guard_gone: bool,
    /// The terms in L's last stamp. Kept only if guards are removed.
    pub promised: Option<Terms>,
    /// The highest token ever written.
    pub highest_token: u8,
    /// A token was written that was not higher than every earlier one.
    pub token_fell: bool,
}

impl State {
    /// Whether this is the file that L's name leads to.
    pub fn is_l(&self, file: File) -> bool {
        self.linked && file == L
    }

    /// Gives L a modification time that it never had before: whoever watches it begins anew.
    pub(crate) fn touch_l(&mut self) {
        self.wall_age = 0;
        self.change_l();
    }

    fn change_l(&mut self) {
        for p in &mut self.processes {
            p.sighting = None;
        }
    }

    /// Ends all runs: L's times are no longer those of anybody's stamp.
    pub(crate) fn end_runs(&mut self) {
        for p in &mut self.processes {
            p.run = None;
        }
    }

    /// Creates L if it is missing.
    pub(crate) fn make_l(&mut self) {
        if !self.linked {
            self.linked = true;
            self.wall_age = 0;
        }
    }

    /// Removes L's name; whoever has its file open keeps a file without a name.
    pub(crate) fn unlink_l(&mut self) {
        let nameless = self.new_file();
        for p in &mut self.processes {
            if p.file == L {
                p.file = nameless;
            }
        }
        self.linked = false;
        self.end_runs();
        self.promised = None;
        self.ledger.names_l = false;
        self.change_l();
    }

    /// Removes the guard's name, and the ledger with it. The next token is read off the wall clock.
    pub(crate) fn remove_guard(&mut self) {
        self.guard_gone = true;
        self.ledger = Ledger { token: self.highest_token, ..Ledger::default() };
        for p in &mut self.processes {
            p.in_ledger = false;
        }
    }

    /// This process's file becomes L. Its times are those of its creation, which was no earlier
    /// than when the process read the clock.
    pub(crate) fn rename_over_l(&mut self, i: usize) {
        self.unlink_l();
        self.linked = true;
        self.wall_age = self.processes[i].age;
        self.processes[i].file = L;
        self.ledger.names_l = self.processes[i].phase == Phase::TemporaryLedgerWritten;
    }

    /// A grant's token.
    pub(crate) fn give_token(&mut self, token: u8) {
        self.token_fell |= token <= self.highest_token;
        self.highest_token = self.highest_token.max(token);
    }

    /// A file that nobody has.
    pub(crate) fn new_file(&self) -> File {
        1 + self.processes.iter().map(|p| p.file).max().unwrap_or(L)
    }

    /// Whether nobody else is inside the guard in a way that excludes `wanted`.
    pub fn guard_is_free(&self, wanted: Guard, i: usize) -> bool {
        self.others(i).all(|p| match p.guard {
            Guard::None => true,
            Guard::Shared => wanted == Guard::Shared,
            Guard::Exclusive => false,
        })
    }

    /// Whether the kernel would grant the lock that this process wants on its file.
    pub fn kernel_lock_is_free(&self, i: usize) -> bool {
        let wanted = &self.processes[i];
        self.others(i).all(|p| {
            p.file != wanted.file || !p.has_kernel_lock() || p.mode.is_compatible_with(wanted.mode)
        })
    }

    pub(crate) fn others(&self, i: usize) -> impl Iterator<Item = &Process> {
        self.processes.iter().enumerate().filter(move |&(j, _)| j != i).map(|(_, p)| p)
    }

    /// Whether the process in the ledger is dead.
    pub fn ledger_names_the_dead(&self) -> bool {
        self.ledger.record == Record::Member && !self.processes.iter().any(|p| p.in_ledger)
    }

    /// Whether no living process has the kernel lock on L, and the last grant on it was exclusive,
    /// to somebody who may be dead: whoever can go on with its run is in the ledger, and alive.
    pub fn l_is_an_orphan(&self) -> bool {
        self.ledger.names_l
            && self.ledger.mode == Mode::Exclusive
            && self.processes.iter().all(|p| p.run.is_none())
            && !self.processes.iter().any(|p| p.has_kernel_lock() && self.is_l(p.file))
    }

    /// Renames what has no meaning but equality and order, so that states which differ in nothing
    /// else are one.
    pub(crate) fn normalize(&mut self, processes: usize, symmetry: bool) {
        if symmetry {
            self.processes[..processes].sort_unstable();
        }
        self.rename_files();
        self.rank_tokens();
    }

    /// Forgets which process the ledger names.
    pub(crate) fn forget_record(&mut self) {
        if self.ledger.record == Record::Member {
            self.ledger.record = Record::Somebody;
        }
        for p in &mut self.processes {
            p.in_ledger = false;
        }
    }

    /// Files without a name get numbers in the order of the processes that have them.
    fn rename_files(&mut self) {
        let mut old = [L; MOST];
        let mut files = 0;
        for p in &mut self.processes {
            if p.phase == Phase::Idle {
                p.file = L;
            }
            if p.file == L {
                continue;
            }
            let known = old[..files].iter().position(|&file| file == p.file);
            let index = known.unwrap_or_else(|| {
                old[files] = p.file;
                files += 1;
                files - 1
            });
            p.file = index as File + 1;
        }
    }

    /// Of tokens only the order counts.
    fn rank_tokens(&mut self) {
        let mut tokens = [self.ledger.token; 2 * MOST + 2];
        tokens[0] = self.highest_token;
        let known = self.processes.iter().flat_map(|p| {
            let read = p.has_read_ledger().then_some(p.token_read);
            [read, p.run.map(|run| run.token)].into_iter().flatten()
        });
        for (token, known) in tokens[2..].iter_mut().zip(known) {
            *token = known;
        }
        tokens.sort_unstable();
        let rank = |token: u8| {
            tokens.windows(2).filter(|pair| pair[0] < pair[1] && pair[1] <= token).count() as u8
        };
        self.ledger.token = rank(self.ledger.token);
        self.highest_token = rank(self.highest_token);
        for p in &mut self.processes {
            p.token_read = if p.has_read_ledger() { rank(p.token_read) } else { 0 };
            p.run = p.run.map(|run| Run { token: rank(run.token), ..run });
        }
    }
}
