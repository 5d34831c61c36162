//! The time limits of requests: a timer for each, until the request has ended.

use std::collections::HashMap;
use std::io;
use std::time::Duration;

use crate::requests::Tag;
use crate::timer::{self, TimerKey};
use rootlock_sys::clock;
use rootlock_sys::sync::{self, Mutex, MutexGuard};

/// How long storage may take to answer at least: a limit is for the wait, and a short one must not
/// make an attempt fail that would succeed.
const ANSWER: Duration = Duration::from_secs(1);

#[derive(Default)]
struct Limit {
    timer: Option<TimerKey>,
    /// Its time has passed.
    passed: bool,
}

#[derive(Default)]
pub(crate) struct Limits {
    limits: Mutex<HashMap<Tag, Limit>>,
}

impl Limits {
    fn limits(&self) -> MutexGuard<'_, HashMap<Tag, Limit>> {
        sync::lock(&self.limits)
    }

    /// A request that has a limit begins.
    pub(crate) fn begin(&self, tag: Tag) {
        self.limits().insert(tag, Limit::default());
    }

    /// Sets the timer of a request that has begun; not if it has ended meanwhile.
    ///
    /// # Errors
    /// The timer can't be started.
    pub(crate) fn set(
        &self,
        tag: Tag,
        after: Duration,
        passed: impl FnOnce() + Send + 'static,
    ) -> io::Result<()> {
        // Under the mutex: the end of the request has to find the timer.
        let mut limits = self.limits();
        let Some(limit) = limits.get_mut(&tag) else { return Ok(()) };
        let run = move |_| {
            passed();
            None
        };
        limit.timer = Some(timer::set(clock::awake().saturating_add(after), run)?);
        Ok(())
    }

    /// The timer has run: whether the request is to be cancelled. One that storage has not answered yet
    /// gets more time, once, by the timer that is `again`.
    pub(crate) fn passes(
        &self,
        tag: Tag,
        is_opening: impl FnOnce() -> bool,
        again: impl FnOnce() + Send + 'static,
    ) -> bool {
        {
            let mut limits = self.limits();
            let Some(limit) = limits.get_mut(&tag) else { return false };
            limit.timer = None;
            // Looked at under the mutex: who gets in line then looks whether the limit has passed.
            if std::mem::replace(&mut limit.passed, true) || !is_opening() {
                return true;
            }
        }
        self.set(tag, ANSWER, again).is_err()
    }

    pub(crate) fn has_passed(&self, tag: Tag) -> bool {
        self.limits().get(&tag).is_some_and(|limit| limit.passed)
    }

    /// The request has ended: whether its time had passed.
    pub(crate) fn end(&self, tag: Tag) -> bool {
        let Some(Limit { timer, passed }) = self.limits().remove(&tag) else { return false };
        if let Some(key) = timer {
            timer::clear(key);
        }
        passed
    }

    /// All have ended.
    pub(crate) fn clear(&self) {
        let limits = std::mem::take(&mut *self.limits());
        limits.into_values().filter_map(|limit| limit.timer).for_each(timer::clear);
    }
}

#[cfg(all(test, not(shuttle)))]
mod tests {
    use std::sync::mpsc;

    use super::*;

    const LONG: Duration = Duration::from_secs(3600);

    #[test]
    fn a_limit_passes_when_its_time_has_come() {
        let (limits, (tell, told)) = (Limits::default(), mpsc::channel());
        limits.begin(1);
        limits
            .set(1, Duration::from_millis(1), move || tell.send(()).expect("waits"))
            .expect("set");
        told.recv_timeout(Duration::from_secs(30)).expect("it passes");
        assert!(!limits.has_passed(1), "until somebody says so");
        assert!(limits.passes(1, || false, || {}));
        assert!(limits.has_passed(1));
        assert!(limits.end(1));
        assert!(!limits.end(1), "it has ended");
    }

    #[test]
    fn storage_that_has_not_answered_gets_more_time_once() {
        let (limits, (tell, told)) = (Limits::default(), mpsc::channel());
        limits.begin(1);
        assert!(!limits.passes(1, || true, move || tell.send(()).expect("waits")));
        assert!(limits.has_passed(1), "who gets in line now is cancelled at once");
        told.recv_timeout(Duration::from_secs(30)).expect("it passes again");
        assert!(limits.passes(1, || true, || panic!("not once more")));
    }

    #[test]
    fn a_request_that_has_ended_leaves_no_timer() {
        let limits = Limits::default();
        let (tell, told) = mpsc::channel::<()>();
        limits.begin(1);
        limits
            .set(1, LONG, {
                let tell = tell.clone();
                move || drop(tell)
            })
            .expect("set");
        assert!(!limits.end(1));
        limits
            .set(1, LONG, {
                let tell = tell.clone();
                move || drop(tell)
            })
            .expect("has ended");
        limits.begin(2);
        limits.set(2, LONG, move || drop(tell)).expect("set");
        limits.clear();
        // All that had a timer are gone, and with them what they would have told.
        assert_eq!(told.recv(), Err(mpsc::RecvError));
        assert!(!limits.passes(2, || false, || {}), "it has ended");
    }
}
