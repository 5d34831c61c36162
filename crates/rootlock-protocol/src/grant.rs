//! A grant turns a kernel lock into a lock. It is one section of the guard, the same for a first
//! attempt, a waiter, and a hand-over within the process.

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

/// The grant that a caller wants.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    pub mode: Mode,
    pub terms: Terms,
}

#[derive(Clone, Copy, Debug)]
pub struct Grant {
    /// The fencing token.
    pub token: u64,
    /// The last token set aside for the [run].
    pub(crate) last: u64,
    /// Whether the ledger's record is this grant's own, rather than that of the run's first grant.
    pub recorded: bool,
    /// Wall clock, in milliseconds since 1970.
    pub granted_at: u64,
    /// The moment from which others count the lease.
    pub from: Moment,
    /// `None` for a file that was put in another one's place.
    pub(crate) stamp: Option<Stamp>,
}

impl Grant {
    pub(crate) fn first(record: &Record, from: Moment, stamp: Option<Stamp>) -> Self {
        let Record { token, last, granted_at, .. } = *record;
        Self { token, last, recorded: true, granted_at, from, stamp }
    }

    /// The record that the ledger should have of this grant on `file` but lacks: because the guard
    /// was removed or emptied and created anew, or because a reader that found the ledger empty
    /// recorded only itself.
    pub fn missing_record(
        &self,
        ledger: &Ledger,
        mode: Mode,
        terms: Terms,
        file: FileId,
    ) -> Option<Record> {
        let last = ledger.last.as_ref();
        // Newer than the last record, which must no longer count; it gives out no token.
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

/// A moment on the two clocks that time a lease.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    pub awake: Duration,
    pub since_boot: Duration,
}

impl Moment {
    /// Must be read before the file is stamped: a holder stopped right after the stamp must not
    /// count its lease from when it woke up.
    pub fn now() -> Self {
        Self { awake: clock::awake(), since_boot: clock::since_boot() }
    }
}

/// The result of a claim on a kernel lock that the caller holds.
#[derive(Debug)]
pub enum Verdict {
    Granted(Grant),
    /// The name refers to another file by now: drop this one and start over.
    Moved,
    /// Another process stayed in the guard for longer than the caller's patience. Or the lock file
    /// is another user's, its clock has not advanced since the last stamp, and the caller can't
    /// wait for that.
    GuardBusy,
}

/// From the kernel lock to the grant: `lock_guard` → `check_identity` → `stamp` → `write_ledger` →
/// `unlock_guard`.
///
/// The order matters. The identity check and the stamp share a section, as do a recoverer's second
/// look and its rename: so either the recoverer sees the stamp, or the check notices the takeover.
/// The ledger is written last, so that its record always describes a lock that was held.
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
            // Created only beside a lock file that still exists: a directory that is being removed
            // must not be filled again.
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

/// The end of a grant, for a caller that is in the section and has checked the identity. `None`
/// when it would have to wait for the file's clock but may not.
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
    // A takeover was begun before this grant and may have died halfway. The file it left is only
    // litter: failing to remove it is no reason to refuse a lock, but it stays on record.
    let leftover = ledger.last.as_ref().is_some_and(|last| last.leftover)
        && lockfile::remove_temporary(dir, names).is_err();
    let record = record(ledger, Wanted { terms, ..wanted }, file.id(), leftover)
        .ok_or_else(|| no_token_left(names))?;
    section.write_ledger(ledger, &record)?;
    Ok(Some(Grant::first(&record, from, Some(Stamp::new(stamp)))))
}

/// The fault for a token, forged or left by a broken program, after which every grant would get the
/// same one.
pub fn no_token_left(names: &Names) -> Fault {
    let why =
        "its last token leaves no room for a greater one: remove it when nobody holds the lock";
    Fault::not_ours(&names.guard, why)
}

/// The record of a grant that follows `ledger`, with exactly the terms in `wanted`; `None` when no
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
