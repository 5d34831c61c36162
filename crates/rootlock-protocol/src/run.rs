//! A run: several grants to one process under one stamp.
//!
//! An exclusive grant sets tokens aside in its record. For a millisecond after its `moment` the same
//! process may give them to further callers on the same terms without a section of the guard: while
//! it keeps the kernel lock ([`Grant::next`]), and after a release too, if nobody was granted the
//! lock in between ([`Paused::resume`]). For others nothing happens: it is the same stamp, and the
//! lease counts from the same `moment`.

use std::time::Duration;

use rootlock_sys::{Mode, Nanos, clock};

use crate::fault::Fault;
use crate::grant::{Grant, Moment, Wanted, wall_millis};
use crate::ledger::tokens_clock;
use crate::lock_dir::LockDir;
use crate::lockfile::LockFile;
use crate::terms::Terms;

/// How long a run may go on: well below any heartbeat, so that nobody has watched the lock file for
/// long enough to take it over.
pub(crate) const RUN: Duration = Duration::from_millis(1);

impl Grant {
    /// The next grant of the run, as long as the stamp is young by both clocks: after a sleep or a
    /// stop the identity must be checked again.
    pub fn next(&self, now: Moment) -> Option<Self> {
        let token = self.token + 1;
        (self.is_young(now) && token <= self.last).then(|| Self {
            token,
            recorded: false,
            granted_at: wall_millis(clock::wall()),
            ..*self
        })
    }

    /// When the ledger's record must become this grant's own, if the grant lasts that long: the run
    /// is over by then.
    pub fn record_due(&self) -> Duration {
        self.from.awake + 2 * RUN
    }

    fn is_young(&self, now: Moment) -> bool {
        now.awake.saturating_sub(self.from.awake) < RUN
            && now.since_boot.saturating_sub(self.from.since_boot) < RUN
    }
}

/// A run whose lock was released, with what is needed to resume it.
#[derive(Debug)]
pub struct Paused {
    /// The lock file's times.
    grant: Grant,
    terms: Terms,
}

/// The lock file's times as a grant's stamp left them; every other grant and every beat changes them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    modified: Nanos,
    /// Set by the system; `None` until it has been read.
    changed: Option<Nanos>,
}

impl Stamp {
    pub(crate) fn new(modified: Nanos) -> Self {
        Self { modified, changed: None }
    }
}

impl Paused {
    /// Must be called before the kernel lock is released: until then the file's times are the
    /// grant's own. `None` when the run is over, or when these times prove nothing.
    pub fn before_release(
        lock: &LockDir,
        file: &LockFile,
        grant: &Grant,
        wanted: Wanted,
    ) -> Option<Self> {
        let Stamp { modified, mut changed } = grant.stamp?;
        if wanted.mode != Mode::Exclusive || !lock.has_exact_times() || grant.token >= grant.last {
            return None;
        }
        if changed.is_none() {
            if !grant.is_young(Moment::now()) {
                return None;
            }
            let stat = file.stat(&lock.names).ok().filter(|stat| stat.modified == modified)?;
            changed = Some(stat.changed);
        }
        let grant = Grant { stamp: Some(Stamp { modified, changed }), ..*grant };
        Some(Self { grant, terms: wanted.terms })
    }

    /// Resumes the run, for a caller that has the kernel lock on the same file again: `check_stamp` →
    /// `moment`.
    ///
    /// If the lock file is as the run's own stamp left it, nobody was granted the lock meanwhile,
    /// because every grant stamps. Nor is anybody taking it over: the time since the stamp, which is
    /// read last, is too short for a watch.
    pub fn resume(
        self,
        lock: &LockDir,
        file: &LockFile,
        wanted: Wanted,
    ) -> Result<Option<Grant>, Fault> {
        let Self { grant, terms } = self;
        if wanted.mode != Mode::Exclusive || wanted.terms != terms {
            return Ok(None);
        }
        // Saves a call; the reading that counts is the one below.
        if clock::awake().saturating_sub(grant.from.awake) >= RUN {
            return Ok(None);
        }
        let Some(stat) = file.check_identity(&lock.dir, &lock.names)? else { return Ok(None) };
        let seen = Stamp { modified: stat.modified, changed: Some(stat.changed) };
        Ok(if grant.stamp == Some(seen) { grant.next(Moment::now()) } else { None })
    }
}

/// The last token to set aside for a run that a grant begins: the wall clock will have reached it by
/// the end of the run.
pub(crate) fn last_token(mode: Mode, token: u64, wall_micros: u64) -> u64 {
    match mode {
        Mode::Exclusive => {
            let reach = tokens_clock(wall_micros) + RUN.as_micros() as u64;
            token.max(reach)
        }
        // Readers do not hand the lock over to each other.
        Mode::Shared => token,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::MAX_TOKEN;

    fn at(micros: u64) -> Moment {
        let time = Duration::from_micros(micros);
        Moment { awake: time, since_boot: time }
    }

    fn grant(token: u64, last: u64) -> Grant {
        Grant { token, last, recorded: true, granted_at: 0, from: at(5_000), stamp: None }
    }

    #[test]
    fn tokens_are_set_aside_up_to_what_the_clock_reaches() {
        let last = |token, wall| last_token(Mode::Exclusive, token, wall);
        assert_eq!(last(1_000, 1_000), 2_000);
        assert_eq!(last(9_000, 1_000), 9_000, "a clock that was set back");
        let mad = last(1_000, u64::MAX);
        assert_eq!(mad, MAX_TOKEN / 2 + 1_000, "a clock gone mad leaves room");
        assert_eq!(last(MAX_TOKEN - 1, u64::MAX), MAX_TOKEN - 1, "no room for more");
        assert_eq!(last_token(Mode::Shared, 1_000, 1_000), 1_000, "none for readers");
    }

    #[test]
    fn a_run_ends_with_its_tokens_and_with_its_time() {
        let first = grant(7, 8);
        let second = first.next(at(5_500)).expect("set aside");
        assert_eq!((second.token, second.recorded), (8, false));
        assert!(second.next(at(5_500)).is_none(), "no token is left");
        assert!(first.next(at(6_000)).is_none(), "the time is over");
        let slept = Moment { since_boot: at(60_000_000).since_boot, ..at(5_500) };
        assert!(first.next(slept).is_none(), "the machine slept");
    }
}
