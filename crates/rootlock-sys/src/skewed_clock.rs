//! For tests: the system's clocks plus an offset that a test sets. The timer that waits by them is
//! not woken; it reads them again when it wakes, as after a real sleep.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use super::platform::clock;
use crate::Nanos;

/// How many nanoseconds each clock is ahead of the system's.
static AWAKE: AtomicI64 = AtomicI64::new(0);
static SINCE_BOOT: AtomicI64 = AtomicI64::new(0);
static WALL: AtomicI64 = AtomicI64::new(0);

fn nanos(time: Duration) -> i64 {
    i64::try_from(time.as_nanos()).expect("some hundred years at most")
}

/// The machine slept.
pub fn sleep(time: Duration) {
    SINCE_BOOT.fetch_add(nanos(time), Ordering::SeqCst);
    WALL.fetch_add(nanos(time), Ordering::SeqCst);
}

/// This process was stopped, and the machine was awake.
pub fn stop(time: Duration) {
    AWAKE.fetch_add(nanos(time), Ordering::SeqCst);
    sleep(time);
}

/// The wall clock was set, forward or back.
pub fn set(by: i64) {
    WALL.fetch_add(by, Ordering::SeqCst);
}

pub fn awake() -> Duration {
    clock::awake() + Duration::from_nanos(AWAKE.load(Ordering::SeqCst).unsigned_abs())
}

pub fn since_boot() -> Duration {
    clock::since_boot() + Duration::from_nanos(SINCE_BOOT.load(Ordering::SeqCst).unsigned_abs())
}

pub fn wall() -> Nanos {
    clock::wall() + Nanos::from(WALL.load(Ordering::SeqCst))
}
