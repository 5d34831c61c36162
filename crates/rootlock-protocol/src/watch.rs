//! Watches another holder's lock file: a stopwatch that any sign of life restarts.
//!
//! Pure: time and sightings are passed in. The wall clock never decides alone, because it can be
//! set, and so can file times. What counts is how long this process itself has seen the file
//! unchanged, on a clock that stands still while the machine sleeps.

use std::time::Duration;

use crate::terms::Terms;
use rootlock_sys::{FileId, Nanos, Stat};

/// What a contender sees of a lock file. Two equal sightings mean that nobody was granted the lock
/// and nobody refreshed it in between. They include the change time because nobody can set it back:
/// an old modification time can't be made to recur unnoticed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sighting {
    id: FileId,
    modified: Nanos,
    changed: Nanos,
}

impl Sighting {
    /// There is no lock file.
    pub const MISSING: Self = Self { id: FileId { volume: 0, index: 0 }, modified: 0, changed: 0 };
}

impl From<&Stat> for Sighting {
    fn from(stat: &Stat) -> Self {
        Self { id: stat.id, modified: stat.modified, changed: stat.changed }
    }
}

/// The stopwatch.
#[derive(Clone, Debug)]
pub struct Watch {
    sighting: Sighting,
    looked: Duration,
    watched: Duration,
}

impl Watch {
    /// Begins with a first look at `now`.
    pub fn begin(sighting: Sighting, now: Duration) -> Self {
        Self { sighting, looked: now, watched: Duration::ZERO }
    }

    /// Looks again, at `now`, with [`needed`] as it stands. Any change restarts the stopwatch.
    ///
    /// Counts at most one [`interval`] since the last look, however long ago that was: a process
    /// that was itself stopped, perhaps together with the holder, did not watch during that time.
    /// So a live holder always gets the chance to beat before its lock is taken over.
    pub fn look(&mut self, sighting: Sighting, now: Duration, needed: Duration) {
        if sighting == self.sighting {
            self.watched += now.saturating_sub(self.looked).min(interval(needed));
            self.looked = now;
        } else {
            *self = Self::begin(sighting, now);
        }
    }

    /// How long the file has been watched unchanged.
    pub fn watched(&self) -> Duration {
        self.watched
    }
}

/// How much of the time between two looks counts at most; hence also how often a waiter looks.
pub fn interval(needed: Duration) -> Duration {
    needed / 6
}

/// What the ledger says about a lock file's holder.
#[derive(Clone, Copy, Debug)]
pub struct HolderTerms {
    pub terms: Terms,
    /// The record is the present holder's, as far as can be told.
    pub is_holders: bool,
}

/// How long a lock file must be watched unchanged before its lock may be taken over.
///
/// Even a contender with shorter terms respects those in the ledger: a lease lasts as long as its
/// holder was promised.
pub fn needed(own: Terms, holder: Option<HolderTerms>, wall_age: Nanos) -> Duration {
    match holder {
        // Old by the wall clock; but that, or the file's time, may have been set. This process must
        // itself see one beat missed, with a fifth to spare.
        Some(HolderTerms { terms, is_holders: true }) if is_old(own, terms, wall_age) => {
            terms.heartbeat * 6 / 5
        }
        // A program that keeps no ledger may not beat as often as we would: the full time.
        Some(HolderTerms { terms, .. }) => own.stale.max(terms.stale),
        None => own.stale,
    }
}

/// Whether a file is old by the wall clock, for a contender and a holder with these terms.
pub fn is_old(own: Terms, holder: Terms, wall_age: Nanos) -> bool {
    wall_age >= own.stale.max(holder.stale).as_nanos() as Nanos
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const TERMS: Terms =
        Terms { heartbeat: Duration::from_secs(10), stale: Duration::from_secs(30) };

    fn sighting(modified: Nanos) -> Sighting {
        Sighting { id: FileId { volume: 1, index: 2 }, modified, changed: 7 }
    }

    #[test]
    fn unchanged_looks_add_up() {
        let mut watch = Watch::begin(sighting(1), SECOND * 100);
        for second in 101..=130 {
            watch.look(sighting(1), SECOND * second, TERMS.stale);
        }
        assert_eq!(watch.watched(), SECOND * 30);
    }

    #[test]
    fn any_change_restarts_the_stopwatch() {
        let seen = sighting(1);
        let other_file = Sighting { id: FileId { volume: 1, index: 3 }, ..seen };
        let touched_and_set_back = Sighting { changed: 8, ..seen };
        for news in [sighting(2), sighting(0), other_file, touched_and_set_back] {
            let mut watch = Watch::begin(seen, Duration::ZERO);
            watch.look(seen, SECOND, TERMS.stale);
            watch.look(news, SECOND * 2, TERMS.stale);
            assert_eq!(watch.watched(), Duration::ZERO, "{news:?}");
            watch.look(news, SECOND * 3, TERMS.stale);
            assert_eq!(watch.watched(), SECOND, "{news:?} is what is watched now");
        }
    }

    #[test]
    fn a_gap_in_watching_counts_as_a_sixth() {
        let mut watch = Watch::begin(sighting(1), Duration::ZERO);
        watch.look(sighting(1), SECOND * 3600, TERMS.stale);
        assert_eq!(watch.watched(), TERMS.stale / 6);
    }

    #[test]
    fn a_clock_that_goes_back_counts_nothing() {
        let mut watch = Watch::begin(sighting(1), SECOND * 10);
        watch.look(sighting(1), SECOND * 5, TERMS.stale);
        assert_eq!(watch.watched(), Duration::ZERO);
    }

    /// The holder's, with the usual terms.
    const PROMISE: Option<HolderTerms> = Some(HolderTerms { terms: TERMS, is_holders: true });

    #[test]
    fn a_fresh_file_needs_the_full_time() {
        let age = (SECOND * 29).as_nanos() as Nanos;
        assert_eq!(needed(TERMS, PROMISE, age), TERMS.stale);
        assert_eq!(needed(TERMS, PROMISE, -age), TERMS.stale, "a time in the future");
    }

    #[test]
    fn an_old_file_needs_one_missed_beat() {
        let age = (SECOND * 30).as_nanos() as Nanos;
        assert_eq!(needed(TERMS, PROMISE, age), SECOND * 12);
    }

    #[test]
    fn a_holder_that_keeps_no_ledger_gets_the_full_time_even_if_old() {
        assert_eq!(needed(TERMS, None, Nanos::MAX), TERMS.stale);
    }

    #[test]
    fn a_file_without_its_holders_record_needs_the_full_time_even_if_old() {
        let hasty = Terms { heartbeat: SECOND / 20, stale: SECOND / 5 };
        let old_record = Some(HolderTerms { terms: TERMS, is_holders: false });
        assert_eq!(needed(hasty, old_record, Nanos::MAX), TERMS.stale);
    }

    #[test]
    fn the_holders_longer_terms_are_respected() {
        let hasty = Terms { heartbeat: SECOND / 20, stale: SECOND / 5 };
        let age = SECOND.as_nanos() as Nanos;
        assert_eq!(needed(hasty, PROMISE, age), TERMS.stale);
        let old = (SECOND * 60).as_nanos() as Nanos;
        assert_eq!(needed(hasty, PROMISE, old), SECOND * 12);
    }
}
