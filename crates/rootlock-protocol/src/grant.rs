//! A grant turns a kernel lock into a lock. It is one section of the guard, the same for a first
//! attempt, a waiter, and a hand-over within the process.

use std::time::Duration;

use crate::fault::Fault;
use crate::guard::{Entered, Patience, Section};
use crate::ledger::{Grantee, Ledger, MAX_TOKEN, Record};
use crate::lock_dir::LockDir;
use crate::lockfile::{self, LockFile, Stamped};
use crate::names::Names;
use crate::terms::Terms;
use rootlock_sys::Mode;
use rootlock_sys::{FileId, Nanos, Stat, clock};

/// How long a run of grants may go on without a new section: well below any heartbeat.
const RUN: Duration = Duration::from_millis(1);

/// The grant that a caller wants.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    pub mode: Mode,
    pub terms: Terms,
    /// How many callers of this process are queued behind this one; tokens are set aside for them.
    pub queued: usize,
}

#[derive(Clone, Copy, Debug)]
pub struct Grant {
    /// The fencing token.
    pub token: u64,
    /// The last token set aside for the run.
    last: u64,
    /// Whether the ledger's record is this grant's own, rather than that of the run's first grant.
    pub recorded: bool,
    /// Wall clock, in milliseconds since 1970.
    pub granted_at: u64,
    /// The moment from which others count the lease.
    pub from: Moment,
}

impl Grant {
    pub fn first(record: &Record, from: Moment) -> Self {
        let Record { token, last, granted_at, .. } = *record;
        Self { token, last, recorded: true, granted_at, from }
    }

    /// The grant to the next caller in this process while the kernel lock stays where it is: a run.
    ///
    /// Nothing changes for others: it is the same lease, counted from the same stamp, and the
    /// ledger has already set the token aside. So no section is needed while the stamp is young by
    /// both clocks; after a sleep or a stop, the identity must be checked again.
    pub fn next(&self, now: Moment) -> Option<Self> {
        let young = now.awake.saturating_sub(self.from.awake) < RUN
            && now.since_boot.saturating_sub(self.from.since_boot) < RUN;
        let token = self.token + 1;
        (young && token <= self.last).then(|| Self {
            token,
            recorded: false,
            granted_at: wall_millis(clock::wall()),
            ..*self
        })
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

    /// When the ledger's record must become this grant's own, if the grant lasts that long: the run
    /// is over by then.
    pub fn record_due(&self) -> Duration {
        self.from.awake + 2 * RUN
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
    if may_wait {
        file.stamp_in_time(names, stat.modified, terms.stale, exact_times)?;
    } else if file.stamp(names, stat.modified, terms.stale, exact_times)? == Stamped::SameTick {
        return Ok(None);
    }
    // A takeover was begun before this grant and may have died halfway. The file it left is only
    // litter: failing to remove it is no reason to refuse a lock, but it stays on record.
    let leftover = ledger.last.as_ref().is_some_and(|last| last.leftover)
        && lockfile::remove_temporary(dir, names).is_err();
    let record = record(ledger, Wanted { terms, ..wanted }, file.id(), leftover)
        .ok_or_else(|| no_token_left(names))?;
    section.write_ledger(ledger, &record)?;
    Ok(Some(Grant::first(&record, from)))
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
    let Wanted { mode, terms, queued } = wanted;
    let wall = clock::wall();
    let wall_micros = u64::try_from(wall / 1_000).unwrap_or(0);
    let token = ledger.next_token(wall_micros)?;
    Some(Record {
        token,
        last: last_of_run(token, queued, wall_micros),
        mode,
        granted_at: wall_millis(wall),
        terms,
        file,
        leftover,
        grantee: Grantee::this().clone(),
    })
}

/// Sets tokens aside for those queued, but none that the wall clock will not have reached by the
/// end of the run: the clock keeps tokens rising should the ledger be lost.
fn last_of_run(token: u64, queued: usize, wall_micros: u64) -> u64 {
    let reach = wall_micros.saturating_add(RUN.as_micros() as u64);
    token.max(reach.min(token.saturating_add(queued as u64)).min(MAX_TOKEN - 1))
}

fn wall_millis(wall: Nanos) -> u64 {
    u64::try_from(wall / 1_000_000).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_set_aside_for_those_queued_as_far_as_the_clock_reaches() {
        assert_eq!(last_of_run(1_000, 0, 1_000), 1_000);
        assert_eq!(last_of_run(1_000, 5, 1_000), 1_005);
        assert_eq!(last_of_run(1_000, 50_000, 1_000), 2_000);
        assert_eq!(last_of_run(9_000, 5, 1_000), 9_000, "a clock that was set back");
        let last = MAX_TOKEN - 1;
        assert_eq!(last_of_run(last, 5, u64::MAX), last, "no room for more");
    }

    #[test]
    fn a_run_ends_with_its_tokens_and_with_its_time() {
        let at = |micros| {
            let time = Duration::from_micros(micros);
            Moment { awake: time, since_boot: time }
        };
        let first = Grant { token: 7, last: 8, recorded: true, granted_at: 0, from: at(5_000) };
        let second = first.next(at(5_500)).expect("set aside");
        assert_eq!((second.token, second.recorded), (8, false));
        assert!(second.next(at(5_500)).is_none(), "no token is left");
        assert!(first.next(at(6_000)).is_none(), "the time is over");
        let slept = Moment { since_boot: at(60_000_000).since_boot, ..at(5_500) };
        assert!(first.next(slept).is_none(), "the machine slept");
    }
}
