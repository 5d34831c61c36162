//! A grant turns a kernel lock into a lock. It is one section of the guard, the same for a first
//! attempt, for a waiter and for a hand-over inside the process.

use std::time::Duration;

use crate::fault::Fault;
use crate::guard::{Entered, Patience, Section};
use crate::ledger::Ledger;
use crate::lock_dir::LockDir;
use crate::lockfile::{self, LockFile, Stamped};
use crate::names::Names;
use crate::record::{Grantee, MAX_TOKEN, Record};
use crate::run::{self, Stamp};
use crate::terms::Terms;
use rootlock_sys::Mode;
use rootlock_sys::{FileId, Nanos, Stat, clock};

/// How a grant is to be made.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    pub mode: Mode,
    pub terms: Terms,
}

/// A grant that was made.
#[derive(Clone, Copy, Debug)]
pub struct Grant {
    /// The fencing token.
    pub token: u64,
    /// The last token that was set aside for the [run](crate::run).
    pub(crate) last: u64,
    /// Whether the ledger's record is this grant's own, not that of the run's first.
    pub recorded: bool,
    /// Wall clock, milliseconds since 1970.
    pub granted_at: u64,
    /// From when on others count the lease.
    pub from: Moment,
    /// `None` for a file that was put in another one's place.
    pub(crate) stamp: Option<Stamp>,
}

impl Grant {
    pub(crate) fn first(record: &Record, from: Moment, stamp: Option<Stamp>) -> Self {
        let Record { token, last, granted_at, .. } = *record;
        Self { token, last, recorded: true, granted_at, from, stamp }
    }

    /// The record that the ledger should have of this grant on `file`, if it has not: the guard was
    /// removed or emptied, and another one has come; or a reader who came over it knew only of
    /// itself.
    pub fn missing_record(
        &self,
        ledger: &Ledger,
        mode: Mode,
        terms: Terms,
        file: FileId,
    ) -> Option<Record> {
        let last = ledger.last.as_ref();
        // Newer than the last one, which must not count any more; it gives no token away.
        let after = last.map_or(0, |last| last.last + 1);
        if after >= MAX_TOKEN {
            return None;
        }
        match ledger.of(file) {
            Some(record) if record.terms.widest(terms) == record.terms => None,
            Some(record) => {
                Some(Record { last: after, terms: record.terms.widest(terms), ..record.clone() })
            }
            None => Some(Record {
                token: self.token.max(after),
                last: self.last.max(after),
                mode,
                granted_at: self.granted_at,
                terms,
                file,
                leftover: last.is_some_and(|last| last.leftover),
                grantee: Grantee::this().clone(),
            }),
        }
    }
}

/// A moment, on the two clocks that a lease is timed by.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    pub awake: Duration,
    pub since_boot: Duration,
}

impl Moment {
    /// To be read before the file is stamped: a holder that is stopped right after the stamp must
    /// not count its lease from when it woke up.
    pub fn now() -> Self {
        Self { awake: clock::awake(), since_boot: clock::since_boot() }
    }
}

/// What became of a claim to a kernel lock that the caller holds.
#[derive(Debug)]
pub enum Verdict {
    /// Granted.
    Granted(Grant),
    /// The name stands for another file by now: drop this one and start over.
    Moved,
    /// Another process was in the guard for longer than the caller's patience; or the clock of another
    /// user's file has not advanced since the last stamp, and the caller can't wait for that.
    GuardBusy,
}

/// From the kernel lock to the grant: `lock_guard` → `check_identity` → `stamp` → `write_ledger` →
/// `unlock_guard`.
///
/// The order matters. The identity check and the stamp are in one section, so that a recoverer,
/// whose second look and rename are in one too, either sees the stamp or was noticed by the check.
/// The ledger comes last, so that its record always speaks of a lock that was there.
pub fn claim(
    lock: &LockDir,
    file: &LockFile,
    wanted: Wanted,
    patience: Patience<'_>,
) -> Result<Verdict, Fault> {
    let LockDir { dir, names, guard, .. } = lock;
    let mut section = match guard.enter_existing(dir, names, Mode::Exclusive, patience)? {
        Entered::Yes(section) => section,
        Entered::Busy => return Ok(Verdict::GuardBusy),
        Entered::Missing => {
            // Made only beside a lock file that is still there: a directory that is being removed
            // shall not be filled again.
            if file.check_identity(dir, names)?.is_none() {
                return Ok(Verdict::Moved);
            }
            match guard.enter(dir, names, Mode::Exclusive, patience)? {
                Some(section) => section,
                None => return Ok(Verdict::GuardBusy),
            }
        }
    };
    let Some(stat) = file.check_identity(dir, names)? else { return Ok(Verdict::Moved) };
    let ledger = section.read_ledger()?;
    let may_wait = !matches!(patience, Patience::Spin);
    let grant = finish(lock, &section, &ledger, file, &stat, wanted, may_wait)?;
    Ok(grant.map_or(Verdict::GuardBusy, Verdict::Granted))
}

/// The end of a grant, for a caller that is in the section and has checked the identity. `None` when
/// it would have to wait for the file's clock, and may not.
pub fn finish(
    lock: &LockDir,
    section: &Section<'_>,
    ledger: &Ledger,
    file: &LockFile,
    stat: &Stat,
    wanted: Wanted,
    may_wait: bool,
) -> Result<Option<Grant>, Fault> {
    let LockDir { dir, names, exact_times, .. } = lock;
    let from = Moment::now();
    let terms = ledger.terms_for(wanted.mode, wanted.terms, stat);
    let stamp = if may_wait {
        file.stamp_in_time(names, stat.modified, terms.stale, exact_times)?
    } else {
        match file.stamp(names, stat.modified, terms.stale, exact_times)? {
            Stamped::At(modified) => modified,
            Stamped::SameTick => return Ok(None),
        }
    };
    // A takeover was begun before this grant and may have died half-way. Its file is only litter:
    // that it can't be removed is no reason to refuse a lock, but it stays noted.
    let leftover = ledger.last.as_ref().is_some_and(|last| last.leftover)
        && lockfile::remove_temporary(dir, names).is_err();
    let record = record(ledger, Wanted { terms, ..wanted }, file.id(), leftover)
        .ok_or_else(|| no_token_left(names))?;
    section.write_ledger(ledger, &record)?;
    Ok(Some(Grant::first(&record, from, Some(Stamp::new(stamp)))))
}

/// That a forged token, or one that a broken program has left, would have every later grant get the
/// same.
pub fn no_token_left(names: &Names) -> Fault {
    let why =
        "its last token leaves no room for a greater one: remove it when nobody holds the lock";
    Fault::not_ours(&names.guard, why)
}

/// The record of a grant that follows `ledger`, with the terms as they are wanted; `None` when no
/// token is left.
pub fn record(ledger: &Ledger, wanted: Wanted, file: FileId, leftover: bool) -> Option<Record> {
    let Wanted { mode, terms } = wanted;
    let wall = clock::wall();
    let wall_micros = u64::try_from(wall / 1_000).unwrap_or(0);
    let token = ledger.next_token(wall_micros)?;
    Some(Record {
        token,
        last: run::last_token(mode, token, wall_micros),
        mode,
        granted_at: wall_millis(wall),
        terms,
        file,
        leftover,
        grantee: Grantee::this().clone(),
    })
}

pub(crate) fn wall_millis(wall: Nanos) -> u64 {
    u64::try_from(wall / 1_000_000).unwrap_or(0)
}
