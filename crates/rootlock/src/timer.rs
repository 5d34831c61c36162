//! The timer: one thread that runs what is due, for all locks of the process. It knows nothing of
//! them.
//!
//! It never touches a file. It passes tasks that do (a beat, a look) to [`crate::pool`], grouped by
//! volume, so that hung storage stops only its own beats, and so that this thread can notify a
//! holder in time that its beats fail. Beats are aligned on a grid, so that thousands of locks need
//! one wake-up.
//!
//! The thread starts with the first timer and ends a moment after the last one.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::sync::Arc;
use std::time::Duration;

use crate::pool;
use rootlock_sys::clock;
use rootlock_sys::sync::{self, Condvar, Mutex, thread};

/// How long the thread stays without a timer: programs that lock and unlock all the time keep it.
const LINGER: Duration = Duration::from_secs(1);

const STACK: usize = 256 * 1024;

/// How many timers are kept unsorted.
const FRESH: usize = 16;

/// What to do when the timer is due. Runs on the timer's thread, so it must not block; it returns
/// work that may.
pub(crate) type Due = Box<dyn FnOnce(Moment) -> Option<Arc<dyn Task>> + Send>;

/// The moment at which something due is run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    /// On the awake clock.
    pub(crate) now: Duration,
    /// How long it has been due.
    pub(crate) late: Duration,
}

/// Work that touches files.
pub(crate) trait Task: Send + Sync {
    /// The volume, because tasks of one volume may hang together.
    fn volume(&self) -> u64;

    fn run(self: Arc<Self>);

    /// Called when the system has no thread for it.
    fn has_no_thread(self: Arc<Self>, now: Duration);
}

/// Identifies a timer: when it is due on the awake clock, and a number.
pub(crate) type TimerKey = (Duration, u64);

struct State {
    /// The newest timers, unsorted: most locks are released long before their timer is due.
    fresh: Vec<(TimerKey, Due)>,
    timers: BTreeMap<TimerKey, Due>,
    /// Makes keys unique.
    serial: u64,
    /// Whether the thread runs.
    running: bool,
    /// When it wakes by itself, or was asked to.
    wakes_at: Duration,
}

struct Timer {
    state: Mutex<State>,
    wake: Condvar,
}

static TIMER: Timer = Timer {
    state: Mutex::new(State {
        fresh: Vec::new(),
        timers: BTreeMap::new(),
        serial: 0,
        running: false,
        wakes_at: Duration::MAX,
    }),
    wake: Condvar::new(),
};

/// Sets a timer. Fails when the thread can't be started.
pub(crate) fn set(
    due: Duration,
    then: impl FnOnce(Moment) -> Option<Arc<dyn Task>> + Send + 'static,
) -> io::Result<TimerKey> {
    set_with_slack(due, Duration::ZERO, then)
}

/// The same for what may be late by so much if that saves waking the thread, which wakes for others.
pub(crate) fn set_with_slack(
    due: Duration,
    slack: Duration,
    then: impl FnOnce(Moment) -> Option<Arc<dyn Task>> + Send + 'static,
) -> io::Result<TimerKey> {
    let mut state = sync::lock(&TIMER.state);
    if !state.running {
        thread::Builder::new().name("rootlock-timer".into()).stack_size(STACK).spawn(run)?;
        state.running = true;
        state.wakes_at = Duration::ZERO;
    }
    state.serial += 1;
    let key = (due, state.serial);
    state.fresh.push((key, Box::new(then)));
    if state.fresh.len() > FRESH {
        state.sort();
    }
    if due.saturating_add(slack) < state.wakes_at {
        state.wakes_at = due;
        TIMER.wake.notify_one();
    }
    Ok(key)
}

/// Cancels a timer, unless it is being run.
pub(crate) fn clear(key: TimerKey) {
    let timer = sync::lock(&TIMER.state).remove(key);
    // Dropped outside the mutex: it may own the last reference to something that sets timers.
    drop(timer);
}

impl State {
    fn sort(&mut self) {
        for (key, due) in self.fresh.drain(..) {
            self.timers.insert(key, due);
        }
    }

    fn remove(&mut self, key: TimerKey) -> Option<Due> {
        match self.fresh.iter().rposition(|(fresh, _)| *fresh == key) {
            Some(index) => Some(self.fresh.swap_remove(index).1),
            None => self.timers.remove(&key),
        }
    }
}

/// Lets the thread's wait time out if it is due; nothing else does under shuttle.
#[cfg(shuttle)]
pub(crate) fn time_passes() {
    let _state = sync::lock(&TIMER.state);
    sync::time_passes(&TIMER.wake);
}

fn run() {
    let mut state = sync::lock(&TIMER.state);
    let mut idle_since = None;
    loop {
        let now = clock::awake();
        let mut due = Vec::new();
        state.sort();
        while let Some(entry) = state.timers.first_entry() {
            if entry.key().0 > now {
                break;
            }
            let ((at, _), then) = entry.remove_entry();
            due.push((at, then));
        }
        if !due.is_empty() {
            drop(state);
            act(due, now);
            state = sync::lock(&TIMER.state);
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
        // The timer that it was asked to wake for may have been cleared since. A program that locks and
        // unlocks all the time sets the same again, which need not wake it twice.
        let asked = Some(state.wakes_at).filter(|&asked| asked > now);
        state.wakes_at = asked.map_or(next, |asked| asked.min(next));
        let left = state.wakes_at.saturating_sub(now);
        state = sync::wait(&TIMER.wake, state, left);
    }
}

fn act(due: Vec<(Duration, Due)>, now: Duration) {
    let mut volumes: HashMap<u64, Vec<Arc<dyn Task>>> = HashMap::new();
    for (at, then) in due {
        if let Some(task) = then(Moment { now, late: now.saturating_sub(at) }) {
            volumes.entry(task.volume()).or_default().push(task);
        }
    }
    for tasks in volumes.into_values() {
        let again = tasks.clone();
        if pool::run(move || tasks.into_iter().for_each(Task::run)).is_err() {
            again.into_iter().for_each(|task| task.has_no_thread(now));
        }
    }
}

#[cfg(all(test, not(shuttle)))]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn a_timer_with_slack_is_run_with_others_or_without_never_before_it_is_due() {
        for others in [true, false] {
            let (sender, receiver) = mpsc::channel();
            let tell = |due: Duration, slack| {
                let sender = sender.clone();
                let then = move |moment: Moment| {
                    sender.send((due, moment.now)).expect("somebody listens");
                    None
                };
                set_with_slack(due, slack, then).expect("there is a thread");
            };
            let now = clock::awake();
            let after = |millis| now + Duration::from_millis(millis);
            if others {
                tell(after(20), Duration::ZERO);
            }
            tell(after(1), Duration::from_secs(1));
            drop(sender);
            let run: Vec<_> = receiver.iter().collect();
            assert_eq!(run.len(), if others { 2 } else { 1 });
            assert!(run.iter().all(|(due, now)| now >= due), "{run:?}");
            assert!(run.is_sorted(), "{run:?}");
        }
    }
}
