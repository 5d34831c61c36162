//! A promise: how long the holder may keep the lock, written to the times of the lock file itself,
//! in case the ledger is lost. A clean-up may remove a guard that looks old; the next process then
//! creates an empty one, and still finds the holder's terms here.
//!
//! A stamp sets the modification time to now, and the access time to now plus T plus a signature
//! that tells it from a time set by reading the file.
//!
//! Pure. The promise is only a hint: it may be missing because times are coarse, because the file
//! is another user's, or because the file has been read since.

use std::time::Duration;

use rootlock_sys::{Nanos, Stat};

const MILLISECOND: Nanos = 1_000_000;

/// The remainder, in milliseconds, of the difference between the two times. Clocks tick at
/// fractions of a second and do not leave it by chance; file systems that keep microseconds
/// preserve it.
const SIGNATURE: Nanos = 271_000;

/// The longest promise that is written, so that the time stays within what file systems can store.
const MOST: Duration = Duration::from_secs(366 * 24 * 3600);

/// The access time that accompanies a modification time.
pub fn said(modified: Nanos, stale: Duration) -> Nanos {
    let millis = stale.min(MOST).as_nanos().div_ceil(MILLISECOND as u128) as Nanos;
    modified + millis * MILLISECOND + SIGNATURE
}

/// The T that the last stamp promised, if it can be read.
pub fn read(stat: &Stat) -> Option<Duration> {
    let difference = stat.accessed - stat.modified;
    let millis = u64::try_from(difference / MILLISECOND).ok()?;
    let promised = Duration::from_millis(millis);
    (difference % MILLISECOND == SIGNATURE && promised <= MOST).then_some(promised)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rootlock_sys::FileId;

    const NOW: Nanos = 1_795_430_520_123_456_789;

    fn stat(modified: Nanos, accessed: Nanos) -> Stat {
        let id = FileId { volume: 1, index: 2 };
        Stat { id, regular: true, links: 1, size: 0, accessed, modified, changed: 7 }
    }

    #[test]
    fn a_promise_is_read_as_it_was_written() {
        for millis in [150, 600, 30_000, 86_400_000] {
            let promised = Duration::from_millis(millis);
            assert_eq!(read(&stat(NOW, said(NOW, promised))), Some(promised));
        }
    }

    #[test]
    fn a_fraction_of_a_millisecond_is_rounded_up() {
        let said = said(NOW, Duration::from_micros(600_001));
        assert_eq!(read(&stat(NOW, said)), Some(Duration::from_millis(601)));
    }

    #[test]
    fn a_file_system_that_keeps_microseconds_preserves_a_promise() {
        let coarse = |time: Nanos| time - time % 1_000;
        let promised = Duration::from_secs(30);
        let said = said(NOW, promised);
        assert_eq!(read(&stat(coarse(NOW), coarse(said))), Some(promised));
    }

    #[test]
    fn times_left_by_writing_reading_and_clocks_are_no_promise() {
        for difference in [0, -1, 1, 4 * MILLISECOND, 3_600_000 * MILLISECOND, -SIGNATURE] {
            assert_eq!(read(&stat(NOW, NOW + difference)), None, "{difference}");
        }
    }

    #[test]
    fn no_promise_is_longer_than_a_year_and_a_day() {
        assert_eq!(read(&stat(NOW, said(NOW, Duration::MAX))), Some(MOST));
        let forged = NOW + 400 * 24 * 3_600_000 * MILLISECOND + SIGNATURE;
        assert_eq!(read(&stat(NOW, forged)), None);
    }
}
