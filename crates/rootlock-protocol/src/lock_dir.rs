//! A lock's files in an open directory: what every step works on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rootlock_sys::{Dir, Locality};

use crate::guard::Guard;
use crate::names::Names;

pub struct LockDir {
    pub dir: Arc<Dir>,
    pub names: Names,
    pub locality: Locality,
    pub guard: Guard,
    /// Whether the file system has shown that it keeps times to the nanosecond.
    pub exact_times: AtomicBool,
}

impl LockDir {
    pub(crate) fn has_exact_times(&self) -> bool {
        self.exact_times.load(Ordering::Relaxed)
    }

    pub fn new(dir: Arc<Dir>, names: Names, locality: Locality) -> Self {
        let (guard, exact_times) = (Guard::default(), AtomicBool::new(false));
        Self { dir, names, locality, guard, exact_times }
    }
}
