//! A grant turns a kernel lock into a lock. It is one section of the guard, the same for a first
//! attempt, for a waiter and for a hand-over inside the process.

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

/// How long a run of grants may go on without a section of its own: well below any heartbeat.
const RUN: Duration = Duration::from_millis(1);

/// How a grant is to be made.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    pub mode: Mode,
    pub terms: Terms,
    /// How many callers of this process are queued behind; tokens are set aside for them.
    pub queued: usize,
}

/// A grant that was made.
#[derive(Clone, Copy, Debug)]
pub struct Grant {
    /// The fencing token.
    pub token: u64,
    /// The last token that was set aside for the run.
    last: u64,
    /// Whether the ledger's record is this grant's own, not that of the run's first.
    pub recorded: bool,
    /// Wall clock, milliseconds since 1970.
    pub granted_at: u64,
    /// From when on others count the lease.
    pub from: Moment,
}

impl Grant {
    pub fn first(record: &Record, from: Moment) -> Self {
        let Record { token, last, granted_at, .. } = *record;
        Self { token, last, recorded: true, granted_at, from }
    }

    /// The grant to the next caller in this process while the kernel lock stays where it is: a run.
    ///
    /// For others nothing changes: it is the same lease, counted from the same stamp, and the
    /// ledger has set the token aside. So it needs no section, for as long as the stamp is young by
    /// either clock: after a sleep or a stop the identity must be checked again.
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

    /// When the ledger's record is to be made this grant's own, if it lasts so long: then the run
    /// is over.
    pub fn record_due(&self) -> Duration {
        self.from.awake + 2 * RUN
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
    if may_wait {
        file.stamp_in_time(names, stat.modified, terms.stale, exact_times)?;
    } else if file.stamp(names, stat.modified, terms.stale, exact_times)? == Stamped::SameTick {
        return Ok(None);
    }
    // A takeover was begun before this grant and may have died half-way. Its file is only litter:
    // that it can't be removed is no reason to refuse a lock, but it stays noted.
    let leftover = ledger.last.as_ref().is_some_and(|last| last.leftover)
        && lockfile::remove_temporary(dir, names).is_err();
    let record = record(ledger, Wanted { terms, ..wanted }, file.id(), leftover)
        .ok_or_else(|| no_token_left(names))?;
    section.write_ledger(ledger, &record)?;
    Ok(Some(Grant::first(&record, from)))
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
/// end of the run: it is what keeps tokens rising should the ledger be lost.
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
    fn tokens_are_set_aside_for_those_behind_up_to_what_the_clock_reaches() {
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
