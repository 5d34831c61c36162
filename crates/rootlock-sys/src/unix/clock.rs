//! The three clocks. Each reading is a time since some fixed moment of that clock.

use std::time::{Duration, SystemTime};

use rustix::time::{ClockId, clock_gettime};

use crate::Nanos;

/// Counts only while the machine is awake: the time that a watcher has really watched.
pub fn awake() -> Duration {
    // CLOCK_MONOTONIC stands still in sleep on Linux and the BSDs.
    #[cfg(not(target_vendor = "apple"))]
    return read(ClockId::Monotonic);
    // On macOS that is CLOCK_UPTIME_RAW, which rustix does not name but std's Instant reads.
    #[cfg(target_vendor = "apple")]
    return {
        use std::sync::OnceLock;
        use std::time::Instant;
        static EPOCH: OnceLock<Instant> = OnceLock::new();
        EPOCH.get_or_init(Instant::now).elapsed()
    };
}

/// Counts sleep too: how long others have seen no beat of ours.
pub fn since_boot() -> Duration {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    return read(ClockId::Boottime);
    // CLOCK_MONOTONIC counts sleep on macOS; on the BSDs there is no better one.
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    return read(ClockId::Monotonic);
}

/// The wall clock, which people and other programs may set; it never decides alone.
pub fn wall() -> Nanos {
    match SystemTime::now().duration_since(SystemTime::UNIX_EPOCH) {
        Ok(after) => after.as_nanos() as Nanos,
        Err(before) => -(before.duration().as_nanos() as Nanos),
    }
}

fn read(clock: ClockId) -> Duration {
    let time = clock_gettime(clock);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}
