//! The arithmetic of a lease. Pure: all times are passed in, on the clock that counts sleep.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rootlock::Options;

/// The longest that the server can count: `idle_session_timeout` is an `int` of milliseconds.
const LONGEST: Duration = Duration::from_millis(i32::MAX as u64);

/// T and h, and whether the server may end the session of a holder that is frozen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Terms {
    pub(crate) stale: Duration,
    pub(crate) heartbeat: Duration,
    pub(crate) recover: bool,
}

impl Terms {
    /// What the server can keep to of these options.
    pub(crate) fn of(options: &Options) -> Self {
        let stale = options.stale.min(LONGEST);
        // Whole milliseconds for the server, rounded up: it ends nothing too early.
        let stale = Duration::from_millis(millis(stale) as u64);
        let heartbeat = options.heartbeat.min(stale / Options::MIN_STALE_IN_HEARTBEATS);
        Self { stale, heartbeat, recover: options.recover }
    }

    /// T − h: how long a lease counts from its moment.
    pub(crate) fn patience(&self) -> Duration {
        self.stale - self.heartbeat
    }

    /// How long a beat may take after this process was stopped. Even then the lease is over half a
    /// heartbeat before the server ends the session.
    pub(crate) fn grace(&self) -> Duration {
        self.heartbeat / 2
    }

    /// `confirm`: whether a token that was asked for at `moment` is a grant.
    pub(crate) fn confirms(&self, moment: Duration, now: Duration) -> bool {
        now.saturating_sub(moment) <= self.patience()
    }

    /// The session's `idle_session_timeout`; none if only its end frees the lock.
    pub(crate) fn idle_timeout(&self) -> IdleTimeout {
        IdleTimeout(self.recover.then(|| millis(self.stale)))
    }
}

/// When the server ends a silent session, in milliseconds; never if there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct IdleTimeout(Option<i32>);

impl IdleTimeout {
    /// As the server has it: zero is never.
    pub(crate) fn setting(self) -> i32 {
        self.0.unwrap_or(0)
    }

    /// Whether it does.
    pub(crate) fn ends(self) -> bool {
        self.0.is_some()
    }

    /// One that is long enough for two who share a session.
    pub(crate) fn longest(self, other: Self) -> Self {
        Self(self.0.zip(other.0).map(|(one, other)| one.max(other)))
    }
}

/// Rounded up.
pub(crate) fn millis(time: Duration) -> i32 {
    i32::try_from(time.as_nanos().div_ceil(1_000_000)).unwrap_or(i32::MAX)
}

/// The moment of the last beat that was answered, for all who count on it.
#[derive(Default)]
pub(crate) struct Refreshed(AtomicU64);

impl Refreshed {
    pub(crate) fn get(&self) -> Duration {
        Duration::from_nanos(self.0.load(Ordering::Acquire))
    }

    /// A beat that was sent at this moment was answered. Answers may come in any order.
    pub(crate) fn raise(&self, moment: Duration) {
        let nanos = u64::try_from(moment.as_nanos()).unwrap_or(u64::MAX);
        self.0.fetch_max(nanos, Ordering::AcqRel);
    }
}

/// What to do about a lease whose beat has not been answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Overdue {
    /// It runs; look again after that.
    Not(Duration),
    /// This process was stopped, or slept: the beat gets its chance first.
    PutOff(Duration),
    /// `heartbeat-failed`.
    Lost,
}

/// Judges a lease that counts from `refreshed`, when it was to be looked at by `due`.
pub(crate) fn overdue(
    terms: &Terms,
    refreshed: Duration,
    due: Duration,
    now: Duration,
    put_off: bool,
) -> Overdue {
    let unrefreshed = now.saturating_sub(refreshed);
    let left = terms.patience().saturating_sub(unrefreshed);
    if !left.is_zero() {
        return Overdue::Not(left.min(terms.heartbeat));
    }
    let late = now.saturating_sub(due).max(unrefreshed - terms.patience());
    if late > terms.heartbeat / 10 && !put_off {
        return Overdue::PutOff(terms.grace());
    }
    Overdue::Lost
}

#[cfg(test)]
mod tests {
    use super::*;

    const TERMS: Terms =
        Terms { stale: Duration::from_secs(3), heartbeat: Duration::from_secs(1), recover: true };

    fn at(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn the_server_gets_no_time_that_it_can_not_count() {
        let terms = Terms::of(&Options { stale: Duration::MAX, ..Options::default() });
        assert_eq!(terms.idle_timeout().setting(), i32::MAX);
        assert!(terms.heartbeat * 3 <= terms.stale);
        let odd = Options {
            stale: Duration::from_micros(150_001),
            heartbeat: at(50),
            ..Options::default()
        };
        assert_eq!(Terms::of(&odd).idle_timeout().setting(), 151, "rounded up");
        let patient = Terms { recover: false, ..TERMS };
        assert_eq!(patient.idle_timeout().setting(), 0);
        assert_eq!(patient.idle_timeout().longest(TERMS.idle_timeout()).setting(), 0);
    }

    #[test]
    fn a_token_that_took_as_long_as_the_lease_is_no_grant() {
        assert!(TERMS.confirms(at(1000), at(3000)));
        assert!(!TERMS.confirms(at(1000), at(3001)));
        assert!(TERMS.confirms(at(1000), at(999)), "a clock never goes back, but if it did");
    }

    #[test]
    fn a_lease_is_lost_in_time_and_a_process_that_was_stopped_gets_one_beat() {
        let judge = |now, put_off| overdue(&TERMS, at(0), at(2000), at(now), put_off);
        assert_eq!(judge(500, false), Overdue::Not(at(1000)));
        assert_eq!(judge(1500, false), Overdue::Not(at(500)));
        assert_eq!(judge(2001, false), Overdue::Lost);
        assert_eq!(judge(60_000, false), Overdue::PutOff(at(500)));
        assert_eq!(judge(60_000, true), Overdue::Lost);
    }
}
