//! An event that the event loop is woken up for before it is there.
//!
//! To wake a sleeping thread takes as long as to make a grant of a kernel lock. So both are done at
//! the same time: the thread that has the kernel lock says that an event will come, makes the
//! grant, and leaves the event here; the event loop, once awake, finds it, or waits for the rest of
//! the few system calls. If that takes longer (somebody is in the guard) it goes on with its work,
//! and the event is sent as any other.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::events::Event;

/// For how long an event loop waits at most: less than falling asleep and being woken again takes.
const PATIENCE: Duration = Duration::from_micros(50);

#[derive(Default)]
pub(crate) struct Soon {
    state: Mutex<State>,
}

#[derive(Default)]
enum State {
    #[default]
    Making,
    Made(Event),
    /// The event loop does not wait for it, or it will never come.
    Over,
}

impl Soon {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Leaves the event for the event loop; or gives it back, because that has not waited.
    pub(crate) fn leave(&self, event: Event) -> Option<Event> {
        let mut state = self.state();
        if matches!(*state, State::Over) {
            return Some(event);
        }
        *state = State::Made(event);
        None
    }

    /// There will be none.
    pub(crate) fn give_up(&self) {
        *self.state() = State::Over;
    }

    /// On the event loop: the event, if it comes at once.
    pub(crate) fn wait(&self) -> Option<Event> {
        let until = Instant::now() + PATIENCE;
        loop {
            {
                let mut state = self.state();
                let late = Instant::now() >= until;
                match &*state {
                    State::Making if !late => {}
                    _ => {
                        return match std::mem::replace(&mut *state, State::Over) {
                            State::Made(event) => Some(event),
                            State::Making | State::Over => None,
                        };
                    }
                }
            }
            // Whoever makes it may need this processor.
            thread::yield_now();
        }
    }
}
