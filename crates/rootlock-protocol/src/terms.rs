//! The terms of a lease.

use std::time::Duration;

/// How often the holder refreshes the lease, and how long others wait before they end it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    pub heartbeat: Duration,
    pub stale: Duration,
}

impl Terms {
    /// A pause of twenty seconds is survived.
    pub const DEFAULT: Self =
        Self { heartbeat: Duration::from_secs(10), stale: Duration::from_secs(30) };

    /// The shortest interval between two beats.
    pub const MIN_HEARTBEAT: Duration = Duration::from_millis(50);

    /// `stale` is at least this many heartbeats: one may be late, and one may just have been
    /// missed.
    pub const MIN_STALE_IN_HEARTBEATS: u32 = 3;

    /// The one place that decides which terms are valid; the JavaScript API only rephrases it.
    pub fn check(&self) -> Result<(), String> {
        if self.heartbeat < Self::MIN_HEARTBEAT {
            return Err(format!(
                "heartbeat must be at least {:?}, got {:?}",
                Self::MIN_HEARTBEAT,
                self.heartbeat
            ));
        }
        let least = self.heartbeat.saturating_mul(Self::MIN_STALE_IN_HEARTBEATS);
        // A caller that computes one from the other, or writes them as fractions of seconds, has
        // rounded them: a difference of one part in a billion is not meant.
        let rounding = self.stale / 1_000_000_000 + Duration::from_nanos(2);
        if self.stale.saturating_add(rounding) < least {
            return Err(format!(
                "stale must be at least {} heartbeats, that is {least:?}, got {:?}",
                Self::MIN_STALE_IN_HEARTBEATS,
                self.stale
            ));
        }
        Ok(())
    }

    /// The widest terms with this T: beats are as far apart as T allows.
    pub fn promised(stale: Duration) -> Self {
        Self { heartbeat: stale / Self::MIN_STALE_IN_HEARTBEATS, stale }
    }

    /// Terms that are safe for a holder with either.
    pub fn widest(self, other: Self) -> Self {
        Self { heartbeat: self.heartbeat.max(other.heartbeat), stale: self.stale.max(other.stale) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_third_of_any_stale_is_a_valid_heartbeat() {
        let seconds = |millis: f64| Duration::try_from_secs_f64(millis / 1000.0).expect("fits");
        let mut stale = 150.0_f64;
        while stale < 9_007_199_254_740_991.0 {
            let heartbeat = seconds(stale / 3.0);
            let terms = Terms { heartbeat, stale: seconds(stale) };
            assert_eq!(terms.check(), Ok(()), "{stale}");
            stale = (stale * 1.01).ceil();
        }
    }

    #[test]
    fn terms_out_of_range_are_refused_with_what_was_given() {
        let terms = |heartbeat, stale| Terms {
            heartbeat: Duration::from_micros(heartbeat),
            stale: Duration::from_micros(stale),
        };
        for (terms, wanted) in [
            (terms(49_999, 150_000), "heartbeat must be at least 50ms, got 49.999ms"),
            (terms(50_000, 149_999), "that is 150ms, got 149.999ms"),
            (terms(10_000_000, 29_999_999), "that is 30s, got 29.999999s"),
        ] {
            let error = terms.check().expect_err("out of range");
            assert!(error.contains(wanted), "{error}");
        }
    }
}
