//! A beat refreshes a held lease.
//!
//! `lock_guard` → `check_identity` → `read_ledger` → `stamp` → `unlock_guard`; before the last, a
//! `write_ledger` if the ledger has no record of the grant: a run has gone on, or the guard was
//! removed and made anew.
//!
//! A missing guard is made only after a while, so that a directory that is just being removed is not
//! filled again.

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

/// For how long a guard must have been missing before its holder makes it anew.
const GUARD_GONE: Duration = Duration::from_secs(3);

/// What a beat found.
#[derive(Debug)]
pub enum Found {
    /// It is refreshed: others count it from then.
    Refreshed(Moment),
    /// The lock file's name stands for another file.
    Hijacked,
    /// It could not be refreshed; others may take it over when the lease ends.
    Failed(String),
}

/// The lease that a beat is for.
#[derive(Clone, Copy, Debug)]
pub struct Beat {
    pub grant: Grant,
    pub mode: Mode,
    pub terms: Terms,
    /// What the beats before have found.
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
    /// Refreshes the lease; also tells what the next beat is to know.
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

    /// One try; `None` when the ledger must be written, and the section is a shared one.
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
        // The identity is checked even when the refresh can't be done: a preempted holder must learn
        // that it was.
        let Some(stat) = own()? else { return Ok(Some(Found::Hijacked)) };
        let stamp = |stale| file.stamp_in_time(names, stat.modified, stale, exact_times);
        // Outside of a section the stamp may fall between a recoverer's second look and its rename,
        // so it does not prolong the lease. But whoever still watches must see a sign of life: a
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
                // A recoverer would make the guard before it looks. Whoever makes one after this
                // sees the stamp: the same as in a section.
                if !Guard::is_missing(dir, names)? {
                    return Ok(Some(Found::Failed(format!("{} has just been made", names.guard))));
                }
                // One may have come, somebody may have taken over in it, and it may have gone.
                if own()?.is_none() {
                    return Ok(Some(Found::Hijacked));
                }
                return Ok(Some(Found::Refreshed(at)));
            }
            // Nothing is done to a lock whose guard may be somebody's data.
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
        // Before the stamp: the lease must not count from later than others see.
        let at = Moment::now();
        stamp(terms.stale)?;
        section.keep_fresh();
        if mode == Mode::Exclusive {
            // What the file itself promises will do until the next beat.
            let written =
                record.is_none_or(|record| section.write_ledger(&ledger, &record).is_ok());
            self.known.recorded = written;
        }
        Ok(Some(Found::Refreshed(at)))
    }

    /// The T to write to the file when the ledger can't be read: of readers, the longest.
    fn promised(&self, stat: &Stat) -> Duration {
        match self.mode {
            Mode::Exclusive => self.terms.stale,
            Mode::Shared => {
                promise::read(stat).map_or(self.terms.stale, |said| said.max(self.terms.stale))
            }
        }
    }

    /// What is to be written into the ledger: this grant's own record instead of the one of its
    /// run's first, which others only read in messages; or one with its terms, if there is none.
    fn record(&self, ledger: &Ledger, terms: Terms, file: &LockFile) -> Option<Record> {
        let Grant { token, granted_at, .. } = self.grant;
        let own = |run: &&Record| (run.token..=run.last).contains(&token);
        let run = ledger.of(file.id()).filter(own).filter(|_| !self.known.recorded);
        run.map(|run| Record { token, granted_at, ..run.clone() })
            .or_else(|| self.grant.missing_record(ledger, self.mode, terms, file.id()))
    }

    /// How long a beat waits for the guard: the beats of other locks wait behind it, and it is
    /// tried again soon.
    fn patience(&self) -> Patience<'static> {
        const MOST: Duration = Duration::from_millis(50);
        Patience::AtMost((self.terms.heartbeat / 10).min(MOST))
    }
}
