//! The pauses between two tries while a server is away: each is twice as long as the one before.

use std::time::Duration;

const LEAST: Duration = Duration::from_millis(50);
const MOST: Duration = Duration::from_secs(2);

#[derive(Debug)]
pub(crate) struct Backoff {
    next: Duration,
}

impl Backoff {
    pub(crate) fn new() -> Self {
        Self { next: LEAST }
    }

    /// Whether it failed more than once.
    pub(crate) fn has_grown(&self) -> bool {
        self.next > LEAST
    }

    /// How long to pause this time.
    pub(crate) fn take(&mut self) -> Duration {
        let pause = self.next;
        self.next = (pause * 2).min(MOST);
        pause
    }

    /// The pauses begin anew.
    pub(crate) fn reset(&mut self) {
        *self = Self::new();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest_and_begin_anew() {
        let mut backoff = Backoff::new();
        assert!(!backoff.has_grown());
        let pauses: Vec<_> = (0..8).map(|_| backoff.take().as_millis()).collect();
        assert_eq!(pauses, [50, 100, 200, 400, 800, 1_600, 2_000, 2_000]);
        assert!(backoff.has_grown());
        backoff.reset();
        assert_eq!(backoff.take(), LEAST);
    }
}
