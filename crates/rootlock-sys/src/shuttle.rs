//! What `npm run check -- interleavings` uses in place of the system's threads, mutexes, condition
//! variables and clocks: those of [shuttle](https://docs.rs/shuttle), and clocks that a test sets.

use std::collections::HashMap;
use std::time::Duration;

pub use ::shuttle::sync::{Condvar, Mutex, MutexGuard};
pub use ::shuttle::thread_local;

/// When the pending waits time out, by the condition's address.
static WAITS: std::sync::Mutex<Option<HashMap<usize, Vec<Duration>>>> = std::sync::Mutex::new(None);

/// A pending wait; shuttle's own never time out.
pub struct Waiting {
    condition: usize,
    until: Duration,
}

pub fn waits(condition: &Condvar, at_most: Duration) -> Waiting {
    let waiting = Waiting { condition: address(condition), until: clock::awake() + at_most };
    let mut waits = WAITS.lock().expect("no test panics here");
    let waits = waits.get_or_insert_default().entry(waiting.condition).or_default();
    waits.push(waiting.until);
    waiting
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let mut waits = WAITS.lock().expect("no test panics here");
        let waits = waits.get_or_insert_default().entry(self.condition).or_default();
        if let Some(index) = waits.iter().position(|until| *until == self.until) {
            waits.swap_remove(index);
        }
    }
}

/// Wakes the waiters of a condition if one of their waits is over. The caller has the condition's
/// mutex.
pub fn time_passes(condition: &Condvar) {
    let over = {
        let waits = WAITS.lock().expect("no test panics here");
        let waits = waits.as_ref().and_then(|waits| waits.get(&address(condition)));
        waits.is_some_and(|waits| waits.iter().any(|until| *until <= clock::awake()))
    };
    if over {
        condition.notify_all();
    }
}

fn address(condition: &Condvar) -> usize {
    std::ptr::from_ref(condition).addr()
}

/// Counts the threads.
pub mod thread {
    use std::io;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    pub use ::shuttle::thread::yield_now;

    static ALIVE: AtomicUsize = AtomicUsize::new(0);

    pub fn alive() -> usize {
        ALIVE.load(Ordering::SeqCst)
    }

    pub struct Builder {
        inner: ::shuttle::thread::Builder,
    }

    impl Builder {
        pub fn new() -> Self {
            Self { inner: ::shuttle::thread::Builder::new() }
        }

        pub fn name(self, name: String) -> Self {
            Self { inner: self.inner.name(name) }
        }

        /// Ignored: shuttle's stacks have one size.
        pub fn stack_size(self, _size: usize) -> Self {
            self
        }

        pub fn spawn(self, main: impl FnOnce() + Send + 'static) -> io::Result<()> {
            ALIVE.fetch_add(1, Ordering::SeqCst);
            let spawned = self.inner.spawn(move || {
                main();
                ALIVE.fetch_sub(1, Ordering::SeqCst);
            });
            spawned.map(drop)
        }
    }

    pub fn park_timeout(_time: Duration) {
        yield_now();
    }
}

/// The clocks, which stand still until a test sets them; all but the wall clock.
pub mod clock {
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::{Duration, SystemTime};

    use crate::Nanos;

    static NANOS: AtomicU64 = AtomicU64::new(0);

    pub fn set(time: Duration) {
        NANOS.store(u64::try_from(time.as_nanos()).expect("a short test"), Ordering::SeqCst);
    }

    pub fn awake() -> Duration {
        Duration::from_nanos(NANOS.load(Ordering::SeqCst))
    }

    pub fn since_boot() -> Duration {
        awake()
    }

    pub fn wall() -> Nanos {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        now.expect("after 1970").as_nanos() as Nanos
    }
}
