//! Mutexes that ignore poisoning: their data is valid between any two statements that touch it, and
//! a lock manager that refuses to release a lock because something panicked helps nobody.

use std::sync::{PoisonError, TryLockError};
use std::time::Duration;

#[cfg(shuttle)]
pub use crate::shuttle::{Condvar, Mutex, MutexGuard, thread, thread_local, time_passes};
#[cfg(not(shuttle))]
pub use std::{
    sync::{Condvar, Mutex, MutexGuard},
    thread, thread_local,
};

pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

pub fn try_lock<T>(mutex: &Mutex<T>) -> Option<MutexGuard<'_, T>> {
    match mutex.try_lock() {
        Ok(guard) => Some(guard),
        Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
        Err(TryLockError::WouldBlock) => None,
    }
}

pub fn wait<'a, T>(
    condition: &Condvar,
    guard: MutexGuard<'a, T>,
    at_most: Duration,
) -> MutexGuard<'a, T> {
    #[cfg(shuttle)]
    let _waiting = crate::shuttle::waits(condition, at_most);
    condition.wait_timeout(guard, at_most).unwrap_or_else(PoisonError::into_inner).0
}

pub fn wait_for<'a, T>(condition: &Condvar, guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
    condition.wait(guard).unwrap_or_else(PoisonError::into_inner)
}
