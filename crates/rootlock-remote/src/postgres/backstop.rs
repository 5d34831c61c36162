//! The backstop: a server whose clock was set back ends silent sessions late, so whoever waits for one has it ended. Pure: all
//! times are passed in, on this machine's own clock.

use std::time::Duration;

use super::look::Silent;
use crate::terms::Terms;

/// What those who wait have seen of the holder.
#[derive(Debug, Default)]
pub(crate) struct Backstop {
    /// The same silence since then at the latest.
    seen: Option<(Silent, Duration)>,
}

impl Backstop {
    /// What an answer showed that came at this moment.
    pub(crate) fn sees(&mut self, silent: Option<Silent>, now: Duration) {
        let is_same = |(seen, _): &(Silent, Duration)| {
            silent.as_ref().is_some_and(|it| (it.pid, &it.since) == (seen.pid, &seen.since))
        };
        let since =
            self.seen.as_ref().filter(|seen| is_same(seen)).map_or(now, |(_, since)| *since);
        self.seen = silent.map(|silent| (silent, since));
    }

    /// The session to end, if it is still as silent: a lease of it would be over.
    pub(crate) fn due(&self, own: &Terms, now: Duration) -> Option<&Silent> {
        let (silent, since) = self.seen.as_ref()?;
        let longest = silent.stale.max(own.stale);
        (own.recover && now.saturating_sub(*since) >= longest).then_some(silent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn terms(stale: u64, recover: bool) -> Terms {
        Terms { stale: seconds(stale), heartbeat: seconds(1), recover }
    }

    fn silent(since: &str, stale: u64) -> Option<Silent> {
        Some(Silent { pid: 7, since: since.into(), stale: seconds(stale) })
    }

    #[test]
    fn a_session_is_due_after_the_longer_lease_of_the_same_silence() {
        let mut backstop = Backstop::default();
        backstop.sees(silent("a", 10), seconds(100));
        backstop.sees(silent("a", 10), seconds(105));
        assert_eq!(backstop.due(&terms(3, true), seconds(109)), None);
        assert_eq!(backstop.due(&terms(3, true), seconds(110)), silent("a", 10).as_ref());
        assert_eq!(backstop.due(&terms(20, true), seconds(119)), None);
        assert_eq!(backstop.due(&terms(20, true), seconds(120)), silent("a", 10).as_ref());
        // What was said meanwhile lengthens the lease.
        backstop.sees(silent("a", 30), seconds(121));
        assert_eq!(backstop.due(&terms(3, true), seconds(129)), None);
        assert_eq!(backstop.due(&terms(3, true), seconds(130)), silent("a", 30).as_ref());
    }

    #[test]
    fn whoever_speaks_again_or_asks_for_no_recovery_is_left_alone() {
        let mut backstop = Backstop::default();
        backstop.sees(silent("a", 10), seconds(100));
        assert_eq!(backstop.due(&terms(3, false), seconds(200)), None);
        backstop.sees(silent("b", 10), seconds(105));
        assert_eq!(backstop.due(&terms(3, true), seconds(114)), None);
        assert_eq!(backstop.due(&terms(3, true), seconds(115)), silent("b", 10).as_ref());
        backstop.sees(None, seconds(116));
        assert_eq!(backstop.due(&terms(3, true), seconds(200)), None);
    }
}
