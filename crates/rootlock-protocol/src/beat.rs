//! A beat refreshes a held lease.
//!
//! `lock_guard` → `check_identity` → `read_ledger` → `stamp` → `unlock_guard`. A `write_ledger`
//! precedes the `unlock_guard` if the ledger has no record of this grant, because a run has gone on
//! or because the guard was removed and created anew.
//!
//! A missing guard is recreated only after a while, so that a directory that is being removed is
//! not filled again.

use std::time::Duration;

use rootlock_sys::{Mode, Stat, clock};

use crate::fault::Fault;
use crate::grant::{Grant, Moment};
use crate::guard::{Entered, Guard, Patience};
use crate::ledger::Ledger;
use crate::lock_dir::LockDir;
use crate::lockfile::LockFile;
use crate::promise;
use crate::record::Record;
use crate::terms::Terms;

/// How long a guard must have been missing before its holder recreates it.
const GUARD_GONE: Duration = Duration::from_secs(3);

/// The result of a beat.
#[derive(Debug)]
pub enum Found {
    /// Refreshed: from now on, others count the lease from this moment.
    Refreshed(Moment),
    /// The lock file's name refers to another file.
    Hijacked,
    /// Not refreshed: others may take the lock over when the lease ends.
    Failed(String),
}

/// The lease that a beat is for.
#[derive(Clone, Copy, Debug)]
pub struct Beat {
    pub grant: Grant,
    pub mode: Mode,
    pub terms: Terms,
    /// What earlier beats have found.
    pub known: Known,
}

/// What one beat remembers for the next.
#[derive(Clone, Copy, Debug)]
pub struct Known {
    /// The ledger's record is this grant's own.
    pub recorded: bool,
    /// Since when the guard has been missing, on the awake clock.
    pub guard_gone: Option<Duration>,
}

impl Beat {
    /// Refreshes the lease, and returns what the next beat needs to know.
    pub fn run(mut self, lock: &LockDir, file: &LockFile) -> (Found, Known) {
        let gone = self.known.guard_gone.map(|since| clock::awake().saturating_sub(since));
        let make = gone.is_some_and(|gone| gone >= GUARD_GONE.max(self.terms.heartbeat));
        let first = if self.known.recorded && !make { Mode::Shared } else { Mode::Exclusive };
        let mut attempt = |mode| {
            self.attempt(lock, file, mode, make)
                .unwrap_or_else(|fault| Some(Found::Failed(fault.to_string())))
        };
        let found = attempt(first).or_else(|| attempt(Mode::Exclusive));
        let found = found.unwrap_or_else(|| Found::Failed("the ledger can't be written".into()));
        (found, self.known)
    }

    /// One try. `None` when the ledger must be written but the section is a shared one.
    fn attempt(
        &mut self,
        lock: &LockDir,
        file: &LockFile,
        mode: Mode,
        make: bool,
    ) -> Result<Option<Found>, Fault> {
        let LockDir { dir, names, guard, exact_times, .. } = lock;
        let own = || file.check_identity(dir, names);
        if make && own()?.is_none() {
            return Ok(Some(Found::Hijacked));
        }
        let patience = self.patience();
        let entered = match make {
            true => guard
                .enter(dir, names, mode, patience)
                .map(|section| section.map_or(Entered::Busy, Entered::Yes)),
            false => guard.enter_existing(dir, names, mode, patience),
        };
        // The identity is checked even when the refresh is impossible: a preempted holder must
        // learn that it was preempted.
        let Some(stat) = own()? else { return Ok(Some(Found::Hijacked)) };
        let stamp = |stale| file.stamp_in_time(names, stat.modified, stale, exact_times);
        // Outside a section, the stamp may fall between a recoverer's second look and its rename,
        // so it does not extend the lease. But anyone still watching must see a sign of life: a
        // busy guard is no reason to be preempted.
        let sign_of_life = |why: String| {
            stamp(self.promised(&stat))?;
            Ok(Some(Found::Failed(why)))
        };
        let mut section = match entered {
            Ok(Entered::Yes(section)) => section,
            Ok(Entered::Busy) => {
                return sign_of_life(format!("{} is held by somebody", names.guard));
            }
            Ok(Entered::Missing) => {
                self.known.guard_gone.get_or_insert_with(clock::awake);
                let at = Moment::now();
                stamp(self.promised(&stat))?;
                // A recoverer creates the guard before it looks, and whoever creates one after this
                // sees the stamp: just as in a section.
                if !Guard::is_missing(dir, names)? {
                    return Ok(Some(Found::Failed(format!("{} has just been made", names.guard))));
                }
                // A guard may have been created, used for a takeover and removed again.
                if own()?.is_none() {
                    return Ok(Some(Found::Hijacked));
                }
                return Ok(Some(Found::Refreshed(at)));
            }
            // A lock whose guard may be somebody else's data is left alone.
            Err(fault) if fault.is_not_ours() => return Err(fault),
            Err(fault) => return sign_of_life(fault.to_string()),
        };
        self.known.guard_gone = None;
        let ledger = section.read_ledger()?;
        let terms = ledger.terms_for(self.mode, self.terms, &stat);
        let record = self.record(&ledger, terms, file);
        if record.is_some() && mode == Mode::Shared {
            return Ok(None);
        }
        // Read before the stamp: the lease must not count from later than others see.
        let at = Moment::now();
        stamp(terms.stale)?;
        section.keep_fresh();
        if mode == Mode::Exclusive {
            // The promise in the lock file's times will do until the next beat.
            let written =
                record.is_none_or(|record| section.write_ledger(&ledger, &record).is_ok());
            self.known.recorded = written;
        }
        Ok(Some(Found::Refreshed(at)))
    }

    /// The T to write to the lock file when the ledger can't be read; for readers, the longest.
    fn promised(&self, stat: &Stat) -> Duration {
        match self.mode {
            Mode::Exclusive => self.terms.stale,
            Mode::Shared => {
                promise::read(stat).map_or(self.terms.stale, |said| said.max(self.terms.stale))
            }
        }
    }

    /// What must be written to the ledger: this grant's own record in place of that of the run's
    /// first grant, which others read only for messages; or, if the ledger has none, a record with
    /// these terms.
    fn record(&self, ledger: &Ledger, terms: Terms, file: &LockFile) -> Option<Record> {
        let Grant { token, granted_at, .. } = self.grant;
        let own = |run: &&Record| (run.token..=run.last).contains(&token);
        let run = ledger.of(file.id()).filter(own).filter(|_| !self.known.recorded);
        run.map(|run| Record { token, granted_at, ..run.clone() })
            .or_else(|| self.grant.missing_record(ledger, self.mode, terms, file.id()))
    }

    /// How long a beat waits for the guard. The beats of other locks wait behind it, and it is
    /// retried soon.
    fn patience(&self) -> Patience<'static> {
        const MOST: Duration = Duration::from_millis(50);
        Patience::AtMost((self.terms.heartbeat / 10).min(MOST))
    }
}
