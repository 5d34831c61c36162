//! What the checker sees of the world at one moment.

/// The most processes that a run can have.
pub const MOST: usize = 4;

/// How a lock is wanted or held.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Mode {
    /// Alone.
    #[default]
    Exclusive,
    /// With others that share it.
    Shared,
}

impl Mode {
    /// Whether two may hold the lock at once.
    pub fn is_compatible_with(self, other: Self) -> bool {
        self == Self::Shared && other == Self::Shared
    }
}

/// Where a process stands: what it did last.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Phase {
    /// Wants nothing, or is about to start (over).
    #[default]
    Idle,
    /// Has L open; asks the kernel for the lock, and watches.
    Waiting,
    /// Has the kernel lock without a grant: just before it, after a release, or after a loss.
    Locked,
    /// Acquire: inside the guard.
    Guarded,
    /// Acquire: has L's own file, inside the guard.
    Identified,
    /// Acquire: has stamped L.
    Stamped,
    /// Acquire: knows the last token.
    LedgerRead,
    /// Acquire and recover: is in the ledger; leaving the guard is all that is left.
    LedgerWritten,
    /// Was granted the lock.
    Holding,
    /// Beat: inside the guard.
    BeatGuarded,
    /// Beat: L is still its own.
    BeatIdentified,
    /// Beat: has stamped L.
    BeatStamped,
    /// Recover: the stopwatch ran out, the guard is asked for.
    Stale,
    /// Recover: inside the guard.
    RecoverGuarded,
    /// Inside the guard without a reason to take anything from anybody.
    Attempting,
    /// Recover: L is as it was watched.
    LookedAgain,
    /// Recover: somebody still has the kernel lock.
    Refused,
    /// Recover: has made and locked a new file.
    TemporaryCreated,
    /// Recover: knows the last token.
    TemporaryLedgerRead,
    /// Recover: is in the ledger.
    TemporaryLedgerWritten,
    /// Recover, ledger last: the new file is L.
    Renamed,
    /// Recover, ledger last: knows the last token.
    RenamedLedgerRead,
}

/// What a process has of the guard.
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

/// One process.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Process {
    /// Where it stands.
    pub phase: Phase,
    /// How it wants or has the lock.
    pub mode: Mode,
    /// The lock file that it has open.
    pub file: File,
    /// What it has of the guard.
    pub guard: Guard,
    /// It takes no steps.
    pub frozen: bool,
    /// Ticks since its last `stamp`.
    pub age: u8,
    /// Ticks since it first saw L as L still is; `None` when it has not seen that.
    pub sighting: Option<u8>,
    /// The last token, as `read_ledger` found it.
    pub token_read: u8,
    /// It was frozen since its last `stamp`.
    pub was_frozen: bool,
    /// The guard refused its beat during this tick, and it has done what it does then.
    pub beat_refused: bool,
    /// It is the one whom the ledger names.
    pub in_ledger: bool,
    /// It began a beat after it was robbed, and that beat has not told it so.
    pub unaware: bool,
}

impl Process {
    /// Whether the program behind it believes that it has the lock.
    pub fn is_holder(&self) -> bool {
        use Phase::*;
        matches!(self.phase, Holding | BeatGuarded | BeatIdentified | BeatStamped)
    }

    /// Whether it has the kernel lock on its file.
    pub fn has_kernel_lock(&self) -> bool {
        use Phase::*;
        !matches!(
            self.phase,
            Idle | Waiting | Stale | RecoverGuarded | Attempting | LookedAgain | Refused
        )
    }

    /// Whether [`Process::age`] means something.
    pub(crate) fn is_aging(&self) -> bool {
        self.is_holder() || self.is_granting()
    }

    /// Whether it has stamped (or made) the file that it is about to be granted.
    pub(crate) fn is_granting(&self) -> bool {
        use Phase::*;
        matches!(
            self.phase,
            Stamped
                | LedgerRead
                | LedgerWritten
                | TemporaryCreated
                | TemporaryLedgerRead
                | TemporaryLedgerWritten
                | Renamed
                | RenamedLedgerRead
        )
    }

    fn has_read_ledger(&self) -> bool {
        use Phase::*;
        matches!(self.phase, LedgerRead | TemporaryLedgerRead | RenamedLedgerRead)
    }

    /// Drops all and starts over; a process remembers what it saw, and the ledger who it was.
    pub(crate) fn start_over(&mut self) {
        *self = Self { sighting: self.sighting, in_ledger: self.in_ledger, ..Self::default() };
    }

    /// No holder any more, by release or by loss: only the kernel lock is left.
    pub(crate) fn end_grant(&mut self) {
        let Self { mode, file, .. } = *self;
        self.start_over();
        *self = Self { phase: Phase::Locked, mode, file, ..*self };
    }
}

/// The guard's content, and what is true about it.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct Ledger {
    /// The last token.
    pub token: u8,
    /// It has a record. This and what follows is kept only if some rule asks for it.
    pub written: bool,
    /// The record speaks of the file that L names.
    pub names_l: bool,
    /// How the lock was granted.
    pub mode: Mode,
}

/// The world.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct State {
    /// Those beyond the run's number stay as they are.
    pub processes: [Process; MOST],
    /// L's name leads to a file.
    pub linked: bool,
    /// L's age by the wall clock.
    pub wall_age: u8,
    /// The ledger.
    pub ledger: Ledger,
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

    /// L is not what it was: whoever watched it begins anew.
    pub(crate) fn change_l(&mut self) {
        for p in &mut self.processes {
            p.sighting = None;
        }
    }

    /// L's name is gone; who has its file keeps a file without a name.
    pub(crate) fn unlink_l(&mut self) {
        let nameless = self.new_file();
        for p in &mut self.processes {
            if p.file == L {
                p.file = nameless;
            }
        }
        self.linked = false;
        self.ledger.names_l = false;
        self.change_l();
    }

    /// This process's file becomes L.
    pub(crate) fn rename_over_l(&mut self, i: usize) {
        self.unlink_l();
        self.linked = true;
        self.wall_age = self.processes[i].age;
        self.processes[i].file = L;
        self.ledger.names_l = self.processes[i].in_ledger;
    }

    /// A file that nobody has.
    pub(crate) fn new_file(&self) -> File {
        1 + self.processes.iter().map(|p| p.file).max().unwrap_or(L)
    }

    /// Whether nobody else is inside the guard in a way that shuts out `wanted`.
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

    fn others(&self, i: usize) -> impl Iterator<Item = &Process> {
        self.processes.iter().enumerate().filter(move |&(j, _)| j != i).map(|(_, p)| p)
    }

    /// Whether the process in the ledger is dead.
    pub fn ledger_names_the_dead(&self) -> bool {
        self.ledger.written && !self.processes.iter().any(|p| p.in_ledger)
    }

    /// Gives new names to what has no meaning but equality and order, so that states which differ
    /// in nothing else are one.
    pub(crate) fn normalize(&mut self, processes: usize, symmetry: bool) {
        if symmetry {
            self.processes[..processes].sort_unstable();
        }
        self.rename_files();
        self.rank_tokens();
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
        let mut tokens = [self.ledger.token; MOST + 2];
        tokens[0] = self.highest_token;
        for (token, p) in tokens[2..].iter_mut().zip(&self.processes) {
            if p.has_read_ledger() {
                *token = p.token_read;
            }
        }
        tokens.sort_unstable();
        let rank = |token: u8| {
            tokens.windows(2).filter(|pair| pair[0] < pair[1] && pair[1] <= token).count() as u8
        };
        self.ledger.token = rank(self.ledger.token);
        self.highest_token = rank(self.highest_token);
        for p in &mut self.processes {
            p.token_read = if p.has_read_ledger() { rank(p.token_read) } else { 0 };
        }
    }
}
