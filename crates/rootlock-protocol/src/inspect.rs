//! Inspects a lock without taking it: how it is held, and by whom.

use std::time::Duration;

use rootlock_sys::{Create, FileId, Mode, Nanos, Stat, clock, flock, process};

use crate::command;
use crate::fault::Fault;
use crate::guard::{Entered, Patience, Section};
use crate::holder::{Holder, Process};
use crate::ledger::Ledger;
use crate::lock_dir::LockDir;
use crate::record::Record;

/// How long an inspection waits for the guard.
const PATIENCE: Patience<'static> = Patience::AtMost(Duration::from_millis(200));

/// The state of a lock when it was inspected; it may have changed since.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LockState {
    /// Free, or how it is held.
    pub state: State,
    /// The holder, as far as known.
    pub holder: Option<Holder>,
    /// The age of the lock file's modification time by the wall clock; `None` without a lock file.
    /// For a held lock, that is the time since the last beat. Negative ages (a clock that was set
    /// back) count as zero.
    pub age: Option<Duration>,
    /// The processes that hold the kernel lock; `None` where the system does not report them.
    pub holders: Option<Vec<LockOwner>>,
    /// The processes that wait for it; `None` where the system does not report them.
    pub waiters: Option<Vec<LockOwner>>,
}

/// A process that holds a lock or waits for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LockOwner {
    /// Its process id.
    pub pid: u32,
    /// How it holds it or wants it.
    pub mode: Mode,
    /// Its program and its script; `None` when they can't be read.
    pub command: Option<String>,
    /// How many callers of this process wait; `None` of others, and of a holder.
    pub callers: Option<usize>,
}

impl LockOwner {
    pub fn new(pid: u32, mode: Mode) -> Self {
        let command = Some(command::of(pid)).filter(|command| !command.is_empty());
        Self { pid, mode, command, callers: None }
    }
}

/// How a lock is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// By nobody.
    Free,
    /// By one writer.
    Exclusive,
    /// By readers.
    Shared,
    /// By a holder that has not beaten for so long that the lock may be taken over, or that is
    /// certainly dead.
    Stale,
}

/// Inspects a lock that counts as stale after the given time. Creates nothing.
pub fn look(lock: &LockDir, stale: Duration) -> Result<LockState, Fault> {
    let LockDir { dir, names, .. } = lock;
    let stat = dir.stat(&names.lock).map_err(Fault::io("stat", &names.lock))?;
    let (holders, waiters) = owners(stat.as_ref().map(|stat| stat.id)).unzip();
    let free = |age, waiters| {
        let holders = Some(Vec::new()).filter(|_| Option::is_some(&waiters));
        LockState { state: State::Free, holder: None, age, holders, waiters }
    };
    let Some(stat) = stat else { return Ok(free(None, waiters)) };
    if !stat.regular {
        return Err(Fault::not_a_file(&names.lock));
    }
    let age = age(&stat);
    let told = holders.as_ref().and_then(|holders| holders.first()).map(|holder| holder.mode);
    let held = match told {
        Some(mode) => Some(mode),
        None => tried(lock)?,
    };
    let Some(mode) = held else { return Ok(free(Some(age), waiters)) };
    let ledger = lock.guard.peek(dir, names);
    // Where the kernel does not report the mode, the record must do: nothing is decided by it.
    let gone = is_orphan(&stat, &ledger).unwrap_or(true);
    let state = match mode {
        _ if gone || age >= stale => State::Stale,
        Mode::Exclusive => State::Exclusive,
        Mode::Shared => State::Shared,
    };
    let holder = holder(&stat, &ledger).map(|holder| Holder { mode, ..holder });
    Ok(LockState { state, holder, age: Some(age), holders, waiters })
}

/// The holders and the waiters, as the system reports them.
fn owners(file: Option<FileId>) -> Option<(Vec<LockOwner>, Vec<LockOwner>)> {
    let Some(file) = file else { return process::REPORTS_LOCKS.then(Default::default) };
    let owner = |lock: process::KernelLock| LockOwner::new(lock.pid, lock.mode);
    let (waiters, holders): (Vec<_>, Vec<_>) =
        process::kernel_locks(file)?.into_iter().partition(|lock| lock.waits);
    Some((holders.into_iter().map(owner).collect(), waiters.into_iter().map(owner).collect()))
}

fn age(stat: &Stat) -> Duration {
    let nanos: Nanos = clock::wall() - stat.modified;
    Duration::from_nanos(u64::try_from(nanos.max(0)).unwrap_or(u64::MAX))
}

/// How the file is locked, by trying: where the kernel names no holder.
fn tried(lock: &LockDir) -> Result<Option<Mode>, Fault> {
    let LockDir { dir, names, guard, .. } = lock;
    let _section: Option<Section<'_>> =
        match dir.stat(&names.guard).map_err(Fault::io("stat", &names.guard))? {
            // Not created here: without a guard there are no attempts of ours to disturb.
            None => None,
            // If the section can't be entered (a read-only file system), others at worst have to
            // retry once.
            Some(_) => match guard.enter_existing(dir, names, Mode::Exclusive, PATIENCE) {
                Ok(Entered::Yes(section)) => Some(section),
                _ => None,
            },
        };
    let file = match dir.open_file(&names.lock, Create::Never) {
        Ok(file) => file,
        Err(_) => dir.open_to_look(&names.lock).map_err(Fault::io("open", &names.lock))?,
    };
    for (attempt, kept_out_by) in [(Mode::Shared, Mode::Exclusive), (Mode::Exclusive, Mode::Shared)]
    {
        let fault = || Fault::io("flock", &names.lock);
        if !flock::try_lock(&file, attempt).map_err(fault())? {
            return Ok(Some(kept_out_by));
        }
        flock::unlock(&file).map_err(fault())?;
    }
    Ok(None)
}

/// Whether the only holder has certainly ended and something else keeps its lock. The last record
/// of several readers describes just one of them, and any record may describe an earlier holder: so
/// where the kernel names the owners, it must name that process and no other. `None` where the
/// kernel names none.
pub fn is_orphan(stat: &Stat, ledger: &Ledger) -> Option<bool> {
    let record = ledger.of(stat.id).filter(|record| record.mode == Mode::Exclusive);
    let Some(dead) = record.and_then(Record::process).filter(Process::is_gone) else {
        return Some(false);
    };
    process::lock_owners(stat.id).map(|owners| owners == [(dead.pid, Mode::Exclusive)])
}

/// Whether a record about this lock file describes its present holder, as far as can be told: a
/// release does not write the ledger, so the record may be that of somebody long gone.
///
/// Asks the kernel for all locks of the machine, which may take ten milliseconds and more (it waits
/// until every processor has taken notice).
pub fn is_holders(record: &Record, stat: &Stat) -> bool {
    let owners = process::lock_owners(stat.id).unwrap_or_default();
    record.process().is_some_and(|process| {
        if process.is_neighbour() && !owners.is_empty() {
            owners.iter().any(|(pid, _)| *pid == process.pid)
        } else {
            !process.is_gone()
        }
    })
}

/// The holder of a held lock: the one in the ledger's record unless something speaks against it,
/// else the one that the kernel names.
pub fn holder(stat: &Stat, ledger: &Ledger) -> Option<Holder> {
    let record = ledger.of(stat.id).filter(|record| is_holders(record, stat));
    record.and_then(Record::holder).or_else(|| named_by_kernel(stat))
}

/// The process in the ledger's record: the holder, for a caller that knows that it is this process.
pub fn recorded_holder(stat: &Stat, ledger: &Ledger) -> Option<Holder> {
    ledger.of(stat.id).and_then(Record::holder)
}

fn named_by_kernel(stat: &Stat) -> Option<Holder> {
    let (pid, mode) = *process::lock_owners(stat.id)?.first()?;
    Some(Holder {
        pid,
        hostname: Some(Process::this().hostname.clone()),
        command: Some(command::of(pid)).filter(|command| !command.is_empty()),
        acquired_at: None,
        mode,
        token: None,
        own: pid == std::process::id(),
    })
}
