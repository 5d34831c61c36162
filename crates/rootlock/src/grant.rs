//! A grant: what makes a lock of a kernel lock. One section of the guard, the same for the first
//! attempt, for a waiter and for a hand-over inside the process.

use std::time::Duration;

use crate::Mode;
use crate::error::Fault;
use crate::guard::{Patience, Section};
use crate::ledger::{Grantee, Ledger, Record};
use crate::lockfile::LockFile;
use crate::options::Terms;
use crate::site::Site;
use crate::sys::{FileId, Nanos, clock};

/// A grant that was made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Grant {
    /// The fencing token.
    pub(crate) token: u64,
    /// From when on others count the lease.
    pub(crate) from: Moment,
}

/// A moment, on the two clocks that a lease is timed by.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    pub(crate) awake: Duration,
    pub(crate) since_boot: Duration,
}

impl Moment {
    /// To be read before the file is stamped: a holder that is stopped right after the stamp must
    /// not count its lease from when it woke up.
    pub(crate) fn now() -> Self {
        Self { awake: clock::awake(), since_boot: clock::since_boot() }
    }
}

/// What became of a claim to a kernel lock that the caller holds.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// Granted.
    Granted(Grant),
    /// The name stands for another file by now: drop this one and start over.
    Moved,
    /// Somebody was in the guard for longer than the caller's patience.
    GuardBusy,
}

/// From the kernel lock to the grant: `lock_guard` → `check_identity` → `stamp` → `write_ledger` →
/// `unlock_guard`.
///
/// The order matters. The identity check and the stamp are in one section, so that a recoverer,
/// whose second look and rename are in one too, either sees the stamp or was noticed by the check.
/// The ledger comes last, so that its record always speaks of a lock that was there.
pub(crate) fn claim(
    site: &Site,
    file: &LockFile,
    mode: Mode,
    terms: Terms,
    patience: Patience<'_>,
) -> Result<Verdict, Fault> {
    let Some(section) = site.guard.enter(&site.dir, &site.names, Mode::Exclusive, patience)? else {
        return Ok(Verdict::GuardBusy);
    };
    let Some(stat) = file.check_identity(&site.dir, &site.names)? else {
        return Ok(Verdict::Moved);
    };
    let ledger = section.read_ledger()?;
    finish(site, &section, &ledger, file, stat.modified, mode, terms).map(Verdict::Granted)
}

/// The end of a grant, for a caller that is in the section and has checked the identity.
pub(crate) fn finish(
    site: &Site,
    section: &Section<'_>,
    ledger: &Ledger,
    file: &LockFile,
    modified: Nanos,
    mode: Mode,
    terms: Terms,
) -> Result<Grant, Fault> {
    let from = Moment::now();
    file.stamp(&site.names, modified, &site.exact_times)?;
    // A takeover was begun before this grant and may have died half-way. Its file is only litter:
    // that it can't be removed is no reason to refuse a lock, but it stays noted.
    let leftover = ledger.last.as_ref().is_some_and(|last| last.leftover)
        && site.dir.remove(&site.names.temporary).is_err();
    let record = record(ledger, mode, terms, file.id(), leftover);
    section.write_ledger(ledger, &record)?;
    Ok(Grant { token: record.token, from })
}

/// The record of a grant that follows `ledger`.
pub(crate) fn record(
    ledger: &Ledger,
    mode: Mode,
    terms: Terms,
    file: FileId,
    leftover: bool,
) -> Record {
    let wall = u64::try_from(clock::wall()).unwrap_or(0);
    Record {
        token: ledger.next_token(wall / 1_000),
        mode,
        granted_at: wall / 1_000_000,
        terms: ledger.terms_for(mode, terms),
        file,
        leftover,
        grantee: Grantee::this().clone(),
    }
}
