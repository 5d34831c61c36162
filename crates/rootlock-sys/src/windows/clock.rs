//! The three clocks; each reading is a time since some fixed moment of its own.
//!
//! The precise variants, because the others move by up to 16 ms at a time.

use std::time::{Duration, SystemTime};

use windows_sys::Win32::System::WindowsProgramming::{
    QueryInterruptTimePrecise, QueryUnbiasedInterruptTimePrecise,
};

use crate::Nanos;

/// Counts only while the machine is awake: what a watcher has really watched.
pub fn awake() -> Duration {
    let mut ticks = 0;
    // SAFETY: there is a number to be filled.
    unsafe { QueryUnbiasedInterruptTimePrecise(&mut ticks) };
    from_ticks(ticks)
}

/// Counts sleep too: how long others have seen no beat of ours.
pub fn since_boot() -> Duration {
    let mut ticks = 0;
    // SAFETY: there is a number to be filled.
    unsafe { QueryInterruptTimePrecise(&mut ticks) };
    from_ticks(ticks)
}

/// The wall clock, which people and other programs may set; never the sole judge.
pub fn wall() -> Nanos {
    match SystemTime::now().duration_since(SystemTime::UNIX_EPOCH) {
        Ok(after) => after.as_nanos() as Nanos,
        Err(before) => -(before.duration().as_nanos() as Nanos),
    }
}

/// Of 100 ns.
fn from_ticks(ticks: u64) -> Duration {
    const TICKS_PER_SECOND: u64 = 10_000_000;
    Duration::new(ticks / TICKS_PER_SECOND, (ticks % TICKS_PER_SECOND) as u32 * 100)
}
