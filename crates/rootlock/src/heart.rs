//! The heart: one thread that knows when something is due, for all locks of the process.
//!
//! It never touches a file. What does (a beat, a look) it gives to [`crate::hands`], the beats of
//! one volume together, so that hung storage stops nobody else's beats, and so that the heart can
//! tell a holder in time that its own beats do not get through. Beats are aligned on a grid, so
//! that thousands of locks are one wake-up.
//!
//! The thread starts with the first timer and ends a moment after the last one.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::sync::Arc;
use std::time::Duration;

use crate::hands::{self, Then};
use crate::kept;
use crate::kernel_wait::KernelWait;
use crate::lease::Lease;
use crate::site::Site;
use crate::sync::{self, Condvar, Mutex, thread};
use crate::sys::clock;

/// How long the thread stays without a timer: programs that lock and unlock all the time keep it.
const LINGER: Duration = Duration::from_secs(1);

const STACK: usize = 256 * 1024;

/// What is due.
pub(crate) enum Timer {
    /// Refresh the lease.
    Beat(Arc<Lease>),
    /// The lease has not been refreshed for so long that it counts as lost, unless it was.
    Verdict(Arc<Lease>),
    /// Look at what a site's waiters wait for.
    Look(Arc<Site>),
    /// A wait in the kernel was asked to stop; ask again, the signal may have come too early.
    Nudge(Arc<Site>, Arc<KernelWait>),
    /// Let the directories go that are kept open and not used.
    Tidy,
}

/// Names a timer: when it is due on the awake clock, and which of those it is.
pub(crate) type TimerKey = (Duration, u64);

struct State {
    timers: BTreeMap<TimerKey, Timer>,
    /// Makes keys unique.
    serial: u64,
    /// Whether the thread runs.
    running: bool,
    /// When it wakes by itself.
    wakes_at: Duration,
}

struct Heart {
    state: Mutex<State>,
    wake: Condvar,
}

static HEART: Heart = Heart {
    state: Mutex::new(State {
        timers: BTreeMap::new(),
        serial: 0,
        running: false,
        wakes_at: Duration::MAX,
    }),
    wake: Condvar::new(),
};

/// Sets a timer. Fails when the thread can't be started.
pub(crate) fn set(due: Duration, timer: Timer) -> io::Result<TimerKey> {
    let mut state = sync::lock(&HEART.state);
    if !state.running {
        thread::Builder::new().name("rootlock-heart".into()).stack_size(STACK).spawn(run)?;
        state.running = true;
        state.wakes_at = Duration::ZERO;
    }
    state.serial += 1;
    let key = (due, state.serial);
    state.timers.insert(key, timer);
    if due < state.wakes_at {
        state.wakes_at = Duration::ZERO;
        HEART.wake.notify_one();
    }
    Ok(key)
}

/// Takes a timer back. One that is just being acted on can't be.
pub(crate) fn clear(key: TimerKey) {
    let timer = sync::lock(&HEART.state).timers.remove(&key);
    // Dropped outside of the mutex: it may own the last reference to a site.
    drop(timer);
}

/// Lets the thread's wait time out if its time has come; nothing else does under shuttle.
#[cfg(shuttle)]
pub(crate) fn time_passes() {
    let _state = sync::lock(&HEART.state);
    sync::time_passes(&HEART.wake);
}

fn run() {
    let mut state = sync::lock(&HEART.state);
    let mut idle_since = None;
    loop {
        let now = clock::awake();
        let mut due = Vec::new();
        while let Some(entry) = state.timers.first_entry() {
            if entry.key().0 > now {
                break;
            }
            let ((at, _), timer) = entry.remove_entry();
            due.push((at, timer));
        }
        if !due.is_empty() {
            drop(state);
            act(due, now);
            state = sync::lock(&HEART.state);
            idle_since = None;
            continue;
        }
        let next = match state.timers.first_key_value() {
            Some((&(at, _), _)) => {
                idle_since = None;
                at
            }
            None => {
                let since = *idle_since.get_or_insert(now);
                if now >= since + LINGER {
                    state.running = false;
                    return;
                }
                since + LINGER
            }
        };
        state.wakes_at = next;
        state = sync::wait(&HEART.wake, state, next.saturating_sub(now));
    }
}

fn act(due: Vec<(Duration, Timer)>, now: Duration) {
    let mut beats: HashMap<u64, Vec<Arc<Lease>>> = HashMap::new();
    for (at, timer) in due {
        let late = now.saturating_sub(at);
        match timer {
            Timer::Beat(lease) => {
                lease.beat_begins(now);
                beats.entry(lease.volume()).or_default().push(lease);
            }
            Timer::Verdict(lease) => lease.judge(now, late),
            Timer::Look(site) => site.look_soon(),
            Timer::Nudge(site, wait) => wait.nudge(&site),
            Timer::Tidy => kept::tidy(now),
        }
    }
    for leases in beats.into_values() {
        // Without a thread nobody beats; each lease has its verdict set, and tries again.
        let again = leases.clone();
        // Who beats often keeps the thread: to make one takes longer than a beat.
        let often = leases.iter().any(|lease| lease.terms.heartbeat <= hands::LINGER);
        let then = if often { Then::Linger } else { Then::Go };
        let started = hands::run(then, move || leases.iter().for_each(Lease::beat));
        if started.is_err() {
            again.iter().for_each(|lease| lease.beat_failed(now));
        }
    }
}

/// The moment of the beat that follows `now`: at most a heartbeat away, on a grid of an eighth.
pub(crate) fn next_beat(now: Duration, heartbeat: Duration) -> Duration {
    let grid = (heartbeat / 8).as_nanos().max(1);
    let latest = (now + heartbeat).as_nanos();
    Duration::from_nanos(u64::try_from(latest - latest % grid).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beats_of_one_rhythm_meet_and_none_is_late() {
        let heartbeat = Duration::from_secs(10);
        let mut moments: Vec<_> = (0..1000)
            .map(|milli| {
                let now = Duration::from_millis(50_000 + milli);
                let beat = next_beat(now, heartbeat);
                assert!(beat <= now + heartbeat && beat > now + heartbeat * 7 / 8);
                beat
            })
            .collect();
        moments.dedup();
        assert!(moments.len() <= 2);
    }
}
