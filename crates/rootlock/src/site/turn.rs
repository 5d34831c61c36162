//! Turns between processes: one that asks again at once steps back for those who say that they wait.

use std::fs::File;
use std::sync::Arc;
use std::time::Duration;

use super::Site;
use crate::lease::Lease;
use crate::sync::{self, thread};
use crate::sys::{Locality, clock};

/// For how long this process may keep the lock to itself (from caller to caller, or by asking again
/// at once) while another one waits; as in parking_lot's eventual fairness.
const TURN: Duration = Duration::from_millis(1);

/// Who asks again so soon has not given anybody else a chance: the kernel wakes the next in its
/// queue, but gives the lock to whoever asks first.
const AT_ONCE: Duration = Duration::from_micros(200);

/// For how long to stay away after a turn, so that whoever was woken gets there first.
const STEP_BACK: Duration = Duration::from_micros(200);

/// A time during which the lock was this process's, but for moments.
#[derive(Clone, Copy)]
pub(super) struct Turn {
    pub(super) since: Duration,
    pub(super) ended: Duration,
}

impl Site {
    /// Whether a newcomer would overtake nobody and would not find the lock taken by this process:
    /// since when it is this process's turn.
    pub(super) fn is_quiet(&self) -> Option<Duration> {
        let now = clock::awake();
        let since = {
            let state = sync::lock(&self.state);
            if !state.line.is_empty() || !state.claimed.is_empty() || state.exclusive.is_some() {
                return None;
            }
            match state.turn {
                Some(turn) if now.saturating_sub(turn.ended) < AT_ONCE => turn.since,
                _ => now,
            }
        };
        let since = self.turn_goes_on(since, now);
        if since.is_none() {
            self.step_back(now);
        }
        since
    }

    /// Whether this process may go on having the lock that it has had since then: from when its
    /// turn counts now.
    pub(super) fn turn_goes_on(&self, since: Duration, now: Duration) -> Option<Duration> {
        if now.saturating_sub(since) < TURN {
            return Some(since);
        }
        // Over a network the announcements would be locks like any other.
        let others_wait = match self.locality {
            Locality::Local => self.guard.others_wait(&self.dir, &self.names),
            Locality::Remote => None,
        };
        // Nobody waits: another turn, and no need to ask before it is over.
        (others_wait == Some(false)).then_some(now)
    }

    pub(super) fn step_back(&self, now: Duration) {
        let mut state = sync::lock(&self.state);
        state.turn = None;
        state.not_before = now + STEP_BACK;
    }

    /// Remembers that this process has just had the lock, unless its turn is over.
    pub(super) fn end_turn(&self, lease: &Lease) {
        let ended = clock::awake();
        let mut state = sync::lock(&self.state);
        if state.not_before <= ended {
            state.turn = Some(Turn { since: lease.turn_since, ended });
        }
    }

    /// Lets whoever was woken get there first; on the thread that is about to wait in the kernel.
    pub(crate) fn wait_for_turn(&self) {
        let not_before = sync::lock(&self.state).not_before;
        let left = not_before.saturating_sub(clock::awake());
        if !left.is_zero() {
            thread::park_timeout(left);
        }
    }

    /// What those who wait queue on; `None` where nobody does, because over a network it would be a
    /// lock like any other.
    pub(crate) fn queue(&self) -> Option<Arc<File>> {
        match self.locality {
            Locality::Local => self.guard.for_queue(&self.dir, &self.names),
            Locality::Remote => None,
        }
    }
}
