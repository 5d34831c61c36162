//! The three clocks. Each reading is a time since some fixed moment of that clock.
//!
//! These are the precise variants, because the others advance by up to 16 ms at a time.

use std::time::{Duration, SystemTime};

use windows_sys::Win32::System::WindowsProgramming::{
    QueryInterruptTimePrecise, QueryUnbiasedInterruptTimePrecise,
};

use crate::Nanos;

/// Counts only while the machine is awake: the time that a watcher has really watched.
pub fn awake() -> Duration {
    let mut ticks = 0;
    // SAFETY: the pointer is to a local that the call fills.
    unsafe { QueryUnbiasedInterruptTimePrecise(&mut ticks) };
    from_ticks(ticks)
}

/// Counts sleep too: how long others have seen no beat of ours.
pub fn since_boot() -> Duration {
    let mut ticks = 0;
    // SAFETY: the pointer is to a local that the call fills.
    unsafe { QueryInterruptTimePrecise(&mut ticks) };
    from_ticks(ticks)
}

/// The wall clock, which people and other programs may set; it never decides alone.
pub fn wall() -> Nanos {
    match SystemTime::now().duration_since(SystemTime::UNIX_EPOCH) {
        Ok(after) => after.as_nanos() as Nanos,
        Err(before) => -(before.duration().as_nanos() as Nanos),
    }
}

/// In units of 100 ns.
fn from_ticks(ticks: u64) -> Duration {
    const TICKS_PER_SECOND: u64 = 10_000_000;
    Duration::new(ticks / TICKS_PER_SECOND, (ticks % TICKS_PER_SECOND) as u32 * 100)
}
